//! The description of the API and the API are the same.

use std::collections::BTreeSet;

use serde_json::Value;

use super::ENDPOINTS;
use super::pages::OPENAPI;

fn description() -> Value {
    serde_json::from_str(OPENAPI).expect("the description is JSON")
}

#[test]
fn every_endpoint_is_described_and_nothing_else_is() {
    let served: BTreeSet<(String, String)> = ENDPOINTS
        .iter()
        .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(served.len(), ENDPOINTS.len());
    let mut described = BTreeSet::new();
    for (path, item) in description()["paths"].as_object().unwrap() {
        let methods = item
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "parameters");
        described.extend(methods.map(|method| (method.clone(), path.clone())));
    }
    assert_eq!(described, served);
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let description = description();
    let mut used = BTreeSet::new();
    references(&description, &mut used);
    for reference in &used {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(
            description.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
    for kind in ["parameters", "responses", "schemas"] {
        for name in description["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(used.contains(&reference), "{reference} is not used");
        }
    }
}

#[test]
fn path_parameters_and_names_of_operations_are_sound() {
    let description = description();
    let mut names = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        let parameters = item["parameters"].as_array().into_iter().flatten();
        let told: Vec<String> = parameters
            .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
            .collect();
        let wanted: Vec<&str> = path
            .split('/')
            .filter(|word| word.starts_with('{'))
            .collect();
        assert_eq!(told, wanted, "{path}");
        for (method, operation) in item.as_object().unwrap() {
            if method != "parameters" {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} twice");
            }
        }
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(reference) if key == "$ref" => drop(found.insert(reference.to_owned())),
                    _ => references(value, found),
                }
            }
        }
        _ => {}
    }
}
