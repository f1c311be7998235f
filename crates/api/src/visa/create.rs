//! `POST /api/instances`: accepted and readable at once, carried out behind.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use http::StatusCode;
use model::Error;
use provisioner::CreateInstance;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::error::Failure;
use super::{Visa, catalogue, seed};

/// Numbers begin above every vmid that Proxmox can give (its greatest is
/// 999,999,999): the old provider's ids were vmids, so that none which VISA may
/// still hold is given again.
const FIRST_NUMBER: u64 = 1_000_000_000;

/// Keys of metadata, at most.
const METADATA_MOST: usize = 256;

/// What a client asks for. Unknown keys are left alone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CreateRequest {
    pub name: String,
    pub image_id: String,
    pub flavour_id: String,
    pub security_groups: Vec<String>,
    pub metadata: BTreeMap<String, String>,
    pub boot_command: Option<String>,
}

/// A body that must be a JSON object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Failure::Invalid("\"value\" must be of type object".to_owned())),
        Err(_) if body.iter().all(u8::is_ascii_whitespace) => Ok(Map::new()),
        Err(error) => Err(Failure::Invalid(format!("\"value\" must be JSON: {error}"))),
    }
}

/// A text that must be there.
pub(super) fn text(map: &Map<String, Value>, key: &str) -> Result<String, Failure> {
    match map.get(key) {
        None => Err(Failure::Invalid(format!("\"{key}\" is required"))),
        Some(Value::String(text)) if text.is_empty() => {
            Err(Failure::Invalid(format!("\"{key}\" is not allowed to be empty")))
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Failure::Invalid(format!("\"{key}\" must be a string"))),
    }
}

impl CreateRequest {
    fn read(body: &[u8]) -> Result<Self, Failure> {
        let map = object(body)?;
        let wrong = |text: String| Err(Failure::Invalid(text));
        let mut request = Self {
            name: text(&map, "name")?,
            image_id: text(&map, "imageId")?,
            flavour_id: text(&map, "flavourId")?,
            ..Self::default()
        };
        match map.get("securityGroups") {
            None | Some(Value::Null) => {}
            Some(Value::Array(names)) => {
                for (index, name) in names.iter().enumerate() {
                    let Value::String(name) = name else {
                        return wrong(format!("\"securityGroups[{index}]\" must be a string"));
                    };
                    // A group that is named twice is one group.
                    if !request.security_groups.contains(name) {
                        request.security_groups.push(name.clone());
                    }
                }
            }
            Some(_) => return wrong("\"securityGroups\" must be an array".to_owned()),
        }
        match map.get("metadata") {
            None | Some(Value::Null) => {}
            Some(Value::Object(values)) if values.len() > METADATA_MOST => {
                return wrong(format!("\"metadata\" must have at most {METADATA_MOST} keys"));
            }
            Some(Value::Object(values)) => {
                for (key, value) in values {
                    let value = match value {
                        Value::String(value) => value.clone(),
                        Value::Null => String::new(),
                        _ => return wrong(format!("\"metadata.{key}\" must be a string")),
                    };
                    request.metadata.insert(key.clone(), value);
                }
            }
            Some(_) => return wrong("\"metadata\" must be of type object".to_owned()),
        }
        match map.get("bootCommand") {
            None | Some(Value::Null) => {}
            Some(Value::String(command)) => request.boot_command = Some(command.clone()),
            Some(_) => return wrong("\"bootCommand\" must be a string".to_owned()),
        }
        Ok(request)
    }
}

pub(super) async fn create(
    State(visa): State<Visa>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let request = CreateRequest::read(&body)?;
    let unknown =
        |key: &str, id: &str| Failure::House(Error::invalid(key, format!("there is no {id:?}")));
    let image = catalogue::find_image(&visa, &request.image_id)
        .ok_or_else(|| unknown("image", &request.image_id))?;
    let flavour = catalogue::find_flavour(&visa, &request.flavour_id)
        .ok_or_else(|| unknown("flavour", &request.flavour_id))?;
    let meta_data = seed::meta_data(&request, visa.settings.project_id.as_deref());
    let metadata = serde_json::to_string(&request.metadata).map_err(Error::internal)?;
    // An image may be larger than its flavour's disk: it is never shrunk.
    let fits = flavour.disk.is_none_or(|disk| image.size.is_none_or(|size| disk >= size));
    let disks = match (fits, image.size) {
        (false, Some(size)) => vec![model::DiskSpec { size }],
        _ => Vec::new(),
    };
    let wanted = CreateInstance {
        user_data: Some(SecretString::from(seed::user_data(&request))),
        meta_data: Some(SecretString::from(meta_data)),
        name: request.name,
        image: Some(image.id),
        flavour: Some(flavour.id),
        disks,
        security_groups: request.security_groups,
        start: true,
        number_from: Some(FIRST_NUMBER),
        notes: vec![("metadata".to_owned(), SecretString::from(metadata))],
        ..CreateInstance::default()
    };
    let accepted = visa.house.create_instance(&visa.caller, wanted).await?;
    let number = visa.house.number_given(&visa.caller, accepted.instance).await?;
    tracing::info!(id = number, instance = %accepted.instance, "instance accepted");
    Ok((StatusCode::CREATED, Json(json!({ "id": number }))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal(body: &str) -> String {
        match CreateRequest::read(body.as_bytes()).unwrap_err() {
            Failure::Invalid(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_is_named_as_clients_know_it() {
        for (body, expected) in [
            ("", "\"name\" is required"),
            ("{}", "\"name\" is required"),
            ("[]", "\"value\" must be of type object"),
            (r#"{"name":""}"#, "\"name\" is not allowed to be empty"),
            (r#"{"name":7}"#, "\"name\" must be a string"),
            (r#"{"name":"a"}"#, "\"imageId\" is required"),
            (r#"{"name":"a","imageId":"1"}"#, "\"flavourId\" is required"),
        ] {
            assert_eq!(refusal(body), expected, "{body}");
        }
        let whole = |rest: &str| format!(r#"{{"name":"a","imageId":"1","flavourId":"1",{rest}}}"#);
        for (rest, expected) in [
            (r#""metadata":{"x":1}"#, "\"metadata.x\" must be a string"),
            (r#""securityGroups":[1]"#, "\"securityGroups[0]\" must be a string"),
            (r#""bootCommand":[]"#, "\"bootCommand\" must be a string"),
        ] {
            assert_eq!(refusal(&whole(rest)), expected, "{rest}");
        }
        assert!(refusal("{").starts_with("\"value\" must be JSON"));
    }

    #[test]
    fn what_both_generations_of_clients_send_is_taken() {
        let body = r#"{"name":"a","imageId":"1","flavourId":"1","securityGroups":["b","b"],
            "metadata":{"proposals":"","instruments":null},"serverGroup":null}"#;
        let request = CreateRequest::read(body.as_bytes()).unwrap();
        assert_eq!(request.boot_command, None);
        assert_eq!(request.security_groups, ["b"]);
        assert_eq!(request.metadata["instruments"], "");
        assert_eq!(request.metadata["proposals"], "");
    }
}
