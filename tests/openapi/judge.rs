//! Holds an exchange against the documents and says what does not fit, where, in which operation.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::document::{Document, Operation};
use crate::exceptions;
use crate::recorder::Exchange;

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Method, path and id as the document has them; method and path as they were sent where no document has them.
    pub(crate) operation: String,
    /// `query`, `request body`, `answer 200`, … with the JSON pointer of what is wrong.
    pub(crate) at: String,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.operation, self.at, self.what)
    }
}

/// What became of an exchange.
pub(crate) struct Verdict {
    /// The operation's id, if a document has it.
    pub(crate) operation: Option<String>,
    pub(crate) findings: Vec<Finding>,
}

/// Judges one exchange.
pub(crate) fn judge(documents: &[Document], exchange: &Exchange) -> Verdict {
    let query = pairs(&exchange.query);
    let Some((document, operation, path)) = find(documents, exchange, &query) else {
        return Verdict {
            operation: None,
            findings: vec![Finding {
                operation: format!("{} {}", exchange.method, exchange.path),
                at: "path".to_owned(),
                what: "no document has this operation".to_owned(),
            }],
        };
    };
    let mut case = Case {
        document,
        name: format!(
            "{} {} ({})",
            operation.method, operation.path.text, operation.id
        ),
        findings: Vec::new(),
    };
    let path = path
        .iter()
        .map(|(name, value)| (name.clone(), operation.path_parameters.typed(name, value)));
    case.hold(
        "path",
        &operation.path_parameters.schema(),
        &Value::Object(path.collect()),
    );
    case.query(operation, &query);
    case.request_body(operation, exchange);
    case.answer(operation, exchange);
    Verdict {
        operation: Some(operation.id.clone()),
        findings: case.findings,
    }
}

type Found<'a> = (&'a Document, &'a Operation, BTreeMap<String, String>);

/// The operation that an exchange is. Of several on one path, the one of which fewest required parameters are missing, and of
/// these the one that requires most: a document tells them apart by nothing else.
fn find<'a>(
    documents: &'a [Document],
    exchange: &Exchange,
    query: &[(String, String)],
) -> Option<Found<'a>> {
    let given = |name: &String| query.iter().any(|(key, _)| key == name);
    documents
        .iter()
        .flat_map(|document| document.operations.iter().map(move |it| (document, it)))
        .filter(|(_, operation)| operation.method == exchange.method)
        .filter_map(|(document, it)| Some((document, it, it.path.values(&exchange.path)?)))
        .min_by_key(|(_, operation, _)| {
            // The version is asked for everywhere and tells nothing apart.
            let required = operation
                .query
                .required()
                .iter()
                .filter(|it| *it != "api-version");
            let (there, missing): (Vec<_>, Vec<_>) = required.partition(|it| given(it));
            (
                missing.len(),
                Reverse(operation.path.literals()),
                Reverse(there.len()),
            )
        })
}

struct Case<'a> {
    document: &'a Document,
    name: String,
    findings: Vec<Finding>,
}

impl Case<'_> {
    fn report(&mut self, at: String, what: String) {
        let operation = self.name.clone();
        self.findings.push(Finding {
            operation,
            at,
            what,
        });
    }

    fn hold(&mut self, place: &str, schema: &Value, instance: &Value) {
        let built = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&self.document.definitions.beside(schema));
        let validator = match built {
            Ok(validator) => validator,
            Err(error) => {
                return self.report(
                    place.to_owned(),
                    format!("the document cannot be used: {error}"),
                );
            }
        };
        for error in validator.iter_errors(instance) {
            let at = format!("{place} {}", error.instance_path().as_str());
            self.report(at.trim_end().to_owned(), error.to_string());
        }
    }

    fn query(&mut self, operation: &Operation, query: &[(String, String)]) {
        let mut instance = Map::new();
        for (name, value) in query {
            let before = instance.insert(name.clone(), operation.query.typed(name, value));
            if before.is_some() {
                self.report(format!("query /{name}"), "it is there twice".to_owned());
            }
        }
        self.hold("query", &operation.query.schema(), &Value::Object(instance));
    }

    fn request_body(&mut self, operation: &Operation, exchange: &Exchange) {
        let place = "request body";
        match (&operation.body, exchange.body.is_empty()) {
            (None, true) => {}
            (None, false) => self.report(place.to_owned(), "none is declared".to_owned()),
            (Some(_), true) => self.report(place.to_owned(), "it is missing".to_owned()),
            (Some(schema), false) => {
                let kind = media_type(exchange.headers.get("content-type"));
                if kind != "application/json" {
                    self.report(place.to_owned(), format!("its type is \"{kind}\""));
                }
                self.hold_text(place, schema, &exchange.body);
            }
        }
    }

    fn answer(&mut self, operation: &Operation, exchange: &Exchange) {
        let status = exchange.status;
        let place = format!("answer {status}");
        let kind = media_type(exchange.answer_headers.get("content-type"));
        let Some(schema) = operation.answers.get(&status) else {
            // Of errors the documents say nothing, anywhere.
            if status < 400 && !exceptions::is_sign_in_page(status, kind) {
                self.report(place, "the status is not declared".to_owned());
            }
            return;
        };
        let Some(schema) = schema else {
            if !exchange.answer.is_empty() {
                self.report(place, "it has a body, and none is declared".to_owned());
            }
            return;
        };
        if !operation.produces.iter().any(|it| it == kind) {
            self.report(
                place.clone(),
                format!("its type is \"{kind}\", of {:?}", operation.produces),
            );
        }
        if kind == "application/json" {
            self.hold_text(&place, schema, &exchange.answer);
        }
    }

    fn hold_text(&mut self, place: &str, schema: &Value, text: &[u8]) {
        match serde_json::from_slice(text) {
            Ok(instance) => self.hold(place, schema, &instance),
            Err(error) => self.report(place.to_owned(), format!("it is no JSON: {error}")),
        }
    }
}

fn media_type(header: Option<&String>) -> &str {
    let header = header.map_or("", String::as_str);
    header.split(';').next().unwrap_or_default().trim()
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (decoded(name), decoded(value))
    };
    query
        .split('&')
        .filter(|it| !it.is_empty())
        .map(pair)
        .collect()
}
