//! The API's description: what the routes say of themselves, and what all of them
//! have in common.

use client::wire;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Header, ObjectBuilder, OpenApi, Ref, RefOr, Type};

use super::{routes_open, routes_v1};

/// The API's description, as `/openapi.json` serves it.
pub fn openapi() -> OpenApi {
    let mut described = routes_v1().into_openapi();
    for (path, item) in &mut described.paths.paths {
        let changes = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in changes.into_iter().flatten() {
            describe_terms(operation, path.starts_with("/v1/instances/"));
        }
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            describe_failures(operation);
            let bearer = utoipa::openapi::SecurityRequirement::new("bearer", Vec::<String>::new());
            operation.security = Some(vec![bearer]);
        }
    }
    described.merge(routes_open().into_openapi());
    described.info.title = "Innkeeper".to_owned();
    described.info.version = "1".to_owned();
    described.info.description = Some(
        "Instances, and the operations that change them. What changes something is answered \
         with 202 and the operation to follow; reads answer the last known state, with its age, \
         and never wait for a hypervisor."
            .to_owned(),
    );
    described.info.license = None;
    described.info.contact = None;
    let components = described.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let mut schemas = Vec::new();
    <wire::ErrorBody as utoipa::ToSchema>::schemas(&mut schemas);
    let body = <wire::ErrorBody as utoipa::PartialSchema>::schema();
    schemas.push(("ErrorBody".to_owned(), body));
    components.schemas.extend(schemas);
    described
}

/// Every route fails in the same form.
fn describe_failures(operation: &mut Operation) {
    let schema = Ref::from_schema_name("ErrorBody");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new()
        .description("Refused or failed: the code says which, the field which part")
        .content("application/json", content)
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(response));
}

/// Every change takes the same headers, and an accepted one answers the same.
fn describe_terms(operation: &mut Operation, of_instance: bool) {
    let header = |name: &str, pattern: &str, text: &str| {
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build();
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .description(Some(text))
            .schema(Some(schema));
        RefOr::T(parameter.build())
    };
    let parameters = operation.parameters.get_or_insert_default();
    let key = "Sent again with the same key within 24 hours, the request is answered as it was \
               answered first, and nothing is done again. 1 to 255 visible ASCII characters";
    parameters.push(header(wire::IDEMPOTENCY_KEY_HEADER, "^[!-~]{1,255}$", key));
    if of_instance {
        let text = "The instance is changed only if this is its entity tag (412 otherwise)";
        parameters.push(header("if-match", "^([*]|\"[!#-~]+\")$", text));
    }
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("202") {
        let mut location = Header::new(ObjectBuilder::new().schema_type(Type::String).build());
        location.description = Some("The operation to follow".to_owned());
        response.headers.insert("location".to_owned(), RefOr::T(location));
    }
}
