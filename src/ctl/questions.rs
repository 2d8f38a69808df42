//! What is asked of a node about what would be.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::client::Wish;
use super::show::Shape;
use crate::cli::{Explain, Plan};

/// What a transaction would do.
pub(super) fn plan(plan: &Plan, mut file: Value) -> (Wish, Shape) {
    if let Some(body) = file.as_object_mut() {
        body.insert("keys".to_owned(), plan.keys.into());
    }
    (post("/v1/plan", file, plan.if_epoch), Shape::Plan)
}

/// What becomes of a request; `body` is that of its command line.
pub(super) fn explain(explain: &Explain, body: Option<String>) -> (Wish, Shape) {
    let mut headers = Map::new();
    for field in &explain.headers {
        let values = headers
            .entry(field.name.clone())
            .or_insert_with(|| json!([]));
        if let Some(values) = values.as_array_mut() {
            values.push(field.value.as_str().into());
        }
    }
    let cookies = explain.cookies.iter();
    let cookies = cookies.map(|pair| (pair.key.clone(), pair.text.as_str().into()));
    let mut asks = json!({
        "method": explain.method,
        "host": explain.url.host,
        "path": explain.url.path,
        "headers": headers,
        "cookies": cookies.collect::<Map<_, _>>(),
    });
    let client = explain.client.map(|client| client.to_string());
    let given = [
        ("listener", explain.listener.clone()),
        ("client", client),
        ("body", body),
        ("sni", explain.sni.clone()),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            asks[key] = value.into();
        }
    }
    (post("/v1/explain", asks, None), Shape::Explain)
}

fn post(target: &str, body: Value, if_epoch: Option<u64>) -> Wish {
    Wish {
        method: Method::POST,
        target: target.to_owned(),
        body: Some(body),
        if_epoch,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Task};

    #[test]
    fn a_plan_is_a_transaction_with_keys() {
        let task = Cli::try_parse_from(["weir", "plan", "f", "--keys", "7", "--if-epoch", "3"]);
        let Some(Task::Plan(asked)) = task.unwrap().task() else {
            panic!("no plan");
        };
        let (wish, _) = plan(&asked, json!({"operations": []}));
        assert_eq!(wish.body, Some(json!({"operations": [], "keys": 7})));
        assert_eq!((&*wish.target, wish.if_epoch), ("/v1/plan", Some(3)));
    }

    #[test]
    fn a_sketch_is_made_of_the_command_line() {
        let line = "weir|explain|http://h/a?b|-l|web|-X|POST|-H|x-a: 1|-H|x-a: 2|-b|c=d|\
                    --client|::1|--sni|n";
        let task = Cli::try_parse_from(line.split('|')).unwrap().task();
        let Some(Task::Explain(asked)) = task else {
            panic!("{task:?}");
        };
        let (wish, _) = explain(&asked, Some("{}".to_owned()));
        let expected = json!({
            "listener": "web", "method": "POST", "host": "h", "path": "/a?b",
            "headers": {"x-a": ["1", "2"]}, "cookies": {"c": "d"},
            "client": "::1", "body": "{}", "sni": "n",
        });
        assert_eq!(wish.body, Some(expected));
    }
}
