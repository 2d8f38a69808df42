//! Logs and traces that are written and read again.

use proptest::prelude::*;

use super::key;

pub(super) fn any_decision_log() -> BoxedStrategy<String> {
    key(
        "[decision_log]\npath",
        &["\"/tmp/d\"", "'/a \"b\"'\nbytes_max = \"5MiB\""],
    )
}

pub(super) fn any_tracing() -> BoxedStrategy<String> {
    key(
        "[tracing]\nsample = 5\notlp",
        &[
            "\"http://127.0.0.1:4318/v1/traces\"",
            "\"http://[::1]:1/\"\nservice = \"edge \\\"1\\\"\"",
        ],
    )
}

pub(super) fn any_access_log() -> BoxedStrategy<String> {
    prop_oneof![
        key(
            "[access_log]\nformat = \"combined\"\nsample = 100\npath",
            &["\"-\"", "'/tmp/a \"b\"\\c.log'", "\"/tmp/\\u00e4\\n.log\""],
        ),
        key(
            "[access_log]\nformat = \"httplog\"\nsyslog",
            &[
                "\"/dev/log\"\nfacility = \"daemon\"",
                "\"10.0.0.1:514\"",
                "\"[::1]:514\""
            ],
        ),
        key(
            "[access_log]\nudp",
            &["\"127.0.0.1:9000\"", "\"[2001:db8::1]:9\""]
        ),
    ]
    .boxed()
}
