//! What annotations cannot say: bounds of parameters that many operations share, and the items of pages by name.

use serde_json::{Value, json};

use super::operations_mut;

/// As the domain's `check_source_record_type` has it.
const SOURCE_RECORD_TYPE: &str = "^[A-Za-z0-9_.-]{1,100}$";
/// A version as `ETag` gives it, perhaps weakened by a proxy, or any version at all.
const IF_MATCH: &str = "^(\\*|(W/)?\"[0-9]{1,18}\")$";

/// Makes the document as narrow as the server is.
pub(super) fn refine(document: &mut Value) {
    for operation in operations_mut(document) {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        parameters.into_iter().flatten().for_each(describe_parameter);
    }
    name_items_of_pages(document);
}

fn describe_parameter(parameter: &mut Value) {
    let word = |member: &str| parameter[member].as_str().unwrap_or_default().to_owned();
    let (place, name) = (word("in"), word("name"));
    // A parameter is there or it is not: there is no way to write `null`.
    let types = parameter.pointer("/schema/type").and_then(Value::as_array).cloned();
    if let Some([only]) =
        types.map(|types| types.into_iter().filter(|kind| kind != "null").collect::<Vec<_>>()).as_deref()
    {
        parameter["schema"]["type"] = only.clone();
    }
    match (place.as_str(), name.as_str()) {
        ("path", "source_record_type") => parameter["schema"]["pattern"] = SOURCE_RECORD_TYPE.into(),
        ("header", "If-Match") => parameter["schema"]["pattern"] = IF_MATCH.into(),
        ("header", "Last-Event-ID") => parameter["schema"]["minimum"] = 0.into(),
        _ => {}
    }
}

/// A page names its items' schema, where the generated one repeats it in full: a client has one type for a sync, whether
/// it comes alone or in a list.
fn name_items_of_pages(document: &mut Value) {
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    let names: Vec<String> = schemas.keys().cloned().collect();
    for name in &names {
        let Some(item) = name.strip_prefix("Page_").filter(|item| names.iter().any(|known| known == item)) else {
            continue;
        };
        let items = schemas.get_mut(name).and_then(|page| page.pointer_mut("/properties/items/items"));
        if let Some(items) = items {
            *items = json!({ "$ref": format!("#/components/schemas/{item}") });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_never_null() {
        let mut parameter = json!({
            "in": "header", "name": "Last-Event-ID", "schema": { "type": ["integer", "null"], "format": "int64" },
        });
        describe_parameter(&mut parameter);
        assert_eq!(parameter["schema"], json!({ "type": "integer", "format": "int64", "minimum": 0 }));
    }

    #[test]
    fn a_page_names_what_it_holds() {
        let mut document = json!({ "components": { "schemas": {
            "Thing": { "type": "object" },
            "Page_Thing": { "properties": { "items": { "type": "array", "items": { "type": "object" } } } },
            "Page_Other": { "properties": { "items": { "type": "array", "items": { "type": "object" } } } },
        } } });
        name_items_of_pages(&mut document);
        let items = |page: &str| document["components"]["schemas"][page]["properties"]["items"]["items"].clone();
        assert_eq!(items("Page_Thing"), json!({ "$ref": "#/components/schemas/Thing" }));
        assert_eq!(items("Page_Other"), json!({ "type": "object" }));
    }
}
