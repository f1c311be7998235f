//! The documents that a guest's cloud-init gets, as VISA's templates expect them.

use provisioner::quoted;

use super::create::CreateRequest;

/// The boot command, once, and the host name.
pub(super) fn user_data(request: &CreateRequest) -> String {
    let mut text = "#cloud-config\n".to_owned();
    if let Some(command) = request.boot_command.as_deref().filter(|it| !it.is_empty()) {
        text.push_str(&format!("runcmd:\n  - {}\n", quoted(command)));
    }
    text.push_str(&format!("fqdn: {}\n", quoted(&request.name)));
    text
}

/// VISA's data about the instance, beside cloud-init's own keys.
pub(super) fn meta_data(request: &CreateRequest, project_id: Option<&str>) -> String {
    let mut text = String::new();
    if request.metadata.is_empty() {
        text.push_str("meta: {}\n");
    } else {
        text.push_str("meta:\n");
        for (key, value) in &request.metadata {
            text.push_str(&format!("  {}: {}\n", quoted(key), quoted(value)));
        }
    }
    if let Some(project) = project_id {
        text.push_str(&format!("project_id: {}\n", quoted(project)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_yaml_would_read_as_something_else_stay_texts() {
        let request = CreateRequest {
            name: "VISA-INSTANCE-77".to_owned(),
            boot_command: Some("echo \"hi\" > /tmp/x\nmkdir -p '/opt'".to_owned()),
            metadata: [("id", "77"), ("empty", ""), ("pem", "-----BEGIN\nab: c\n\u{85}")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..CreateRequest::default()
        };
        assert_eq!(
            user_data(&request),
            "#cloud-config\nruncmd:\n  - \"echo \\\"hi\\\" > /tmp/x\\nmkdir -p '/opt'\"\n\
             fqdn: \"VISA-INSTANCE-77\"\n"
        );
        assert_eq!(
            meta_data(&request, Some("bench")),
            "meta:\n  \"empty\": \"\"\n  \"id\": \"77\"\n  \"pem\": \"-----BEGIN\\nab: c\\n\\u0085\"\n\
             project_id: \"bench\"\n"
        );
        assert_eq!(meta_data(&CreateRequest::default(), None), "meta: {}\n");
    }
}
