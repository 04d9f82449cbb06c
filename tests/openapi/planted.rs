//! The judge judged: on a small document of our own, each kind of error is planted and has to be found, by the operation's
//! name and the place of it. These run without Microsoft's documents.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use crate::document::Document;
use crate::exceptions::{Exception, correct};
use crate::judge::judge;
use crate::recorder::{Caller, Exchange};

/// Two operations on one path, told apart by `name`, one that takes a body, and an inherited schema.
fn harbour() -> Value {
    let path = json!({ "in": "path", "name": "organization", "type": "string", "required": true });
    let project = json!({ "in": "path", "name": "project", "type": "string", "required": true, "x-ms-required": false });
    let number = json!({ "in": "path", "name": "number", "type": "integer", "format": "int32", "required": true });
    let version = json!({ "$ref": "#/parameters/api-Version" });
    let ship = json!({ "$ref": "#/definitions/Ship" });
    json!({
        "parameters": { "api-Version": {
            "in": "query", "name": "api-version", "type": "string", "required": true,
            "description": "This should be set to '7.1' to use this version of the api.",
        } },
        "paths": {
            "/{organization}/{project}/_apis/ships": { "get": {
                "operationId": "Ships_List", "produces": ["application/json"],
                "parameters": [path, project, version,
                    { "in": "query", "name": "$top", "type": "integer", "format": "int32" },
                    { "in": "query", "name": "state", "type": "string", "enum": ["moored", "atSea"] },
                    { "in": "query", "name": "since", "type": "string", "format": "date-time", "required": true },
                ],
                "responses": { "200": { "schema": { "type": "array", "items": ship } } },
            } },
            "/{organization}/_apis/ships/{number}": { "put": {
                "operationId": "Ships_Replace", "produces": ["application/json"],
                "parameters": [path, number, version, { "in": "body", "name": "body", "schema": ship }],
                "responses": { "200": { "schema": ship } },
            }, "delete": {
                "operationId": "Ships_Delete",
                "parameters": [path, number, version],
                "responses": { "204": {} },
            } },
        },
        "x-ms-paths": { "/{organization}/{project}/_apis/ships?name={name}": { "get": {
            "operationId": "Ships_Get", "produces": ["application/json"],
            "parameters": [path, project, version,
                { "in": "query", "name": "name", "type": "string", "required": true },
            ],
            "responses": { "200": { "schema": ship } },
        } } },
        "definitions": {
            "Vessel": { "type": "object", "required": ["id"], "properties": {
                "id": { "type": "string", "format": "uuid" },
                "length": { "type": "integer", "format": "int16" },
            } },
            "Ship": {
                "allOf": [{ "$ref": "#/definitions/Vessel" }],
                "type": "object",
                "properties": {
                    "state": { "enum": ["moored", "atSea"] },
                    "built": { "type": "string", "format": "date-time" },
                    "tugs": { "type": "array", "items": { "$ref": "#/definitions/Ship" } },
                    "tags": { "type": "object", "additionalProperties": { "type": "string" } },
                },
            },
        },
    })
}

fn ship() -> Value {
    json!({
        "id": "0c9c1f5e-6f3b-4f0e-9d55-0a4e2f7c1d11",
        "length": 120,
        "state": "moored",
        "built": "1998-05-01T00:00:00.1234567Z",
        "tugs": [{ "id": "0c9c1f5e-6f3b-4f0e-9d55-0a4e2f7c1d12" }],
        "tags": { "flag": "NO" },
    })
}

fn exchange(method: &str, target: &str, body: &Value, status: u16, answer: &Value) -> Exchange {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let json = BTreeMap::from([(
        "content-type".to_owned(),
        "application/json; charset=utf-8".to_owned(),
    )]);
    let bytes = |value: &Value| {
        if value.is_null() {
            Vec::new()
        } else {
            value.to_string().into_bytes()
        }
    };
    Exchange {
        caller: Caller::Test,
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: json.clone(),
        body: bytes(body).into(),
        status,
        answer_headers: json,
        answer: bytes(answer).into(),
    }
}

const LIST: &str = "/acme/Harbor/_apis/ships?since=2026-01-01T00:00:00Z&api-version=7.1";
const ONE: &str = "/acme/_apis/ships/7?api-version=7.1";

fn listed(target: &str) -> Exchange {
    exchange(
        "GET",
        target,
        &Value::Null,
        200,
        &json!({ "count": 1, "value": [ship()] }),
    )
}

fn replaced(body: &Value, answer: &Value) -> Exchange {
    exchange("PUT", ONE, body, 200, answer)
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut ship = ship();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    ship.pointer_mut(parent).unwrap()[name] = value;
    ship
}

fn findings(exchange: &Exchange) -> Vec<String> {
    let documents = [Document::read(&harbour()).unwrap()];
    let findings = judge(&documents, exchange).findings;
    findings.iter().map(ToString::to_string).collect()
}

/// One finding, which says all of these.
fn found(exchange: &Exchange, said: &[&str]) {
    let findings = findings(exchange);
    assert_eq!(findings.len(), 1, "{findings:?}");
    for words in said {
        assert!(findings[0].contains(words), "{words}: {findings:?}");
    }
}

#[test]
fn what_fits_is_not_complained_of() {
    for exchange in [
        listed(LIST),
        listed(&format!("{LIST}&$top=5&state=atSea")),
        // The project may be left out here, and nobody minds the case of a path.
        listed("/acme/_APIS/Ships?since=2026-01-01T00%3A00%3A00Z&api-version=7.1"),
        replaced(&ship(), &ship()),
        exchange(
            "GET",
            "/acme/Harbor/_apis/ships?name=Fram&api-version=7.1",
            &Value::Null,
            200,
            &ship(),
        ),
        exchange("DELETE", ONE, &Value::Null, 204, &Value::Null),
        // Of errors the documents say nothing.
        exchange(
            "DELETE",
            ONE,
            &Value::Null,
            404,
            &json!({ "message": "gone" }),
        ),
    ] {
        assert_eq!(findings(&exchange), Vec::<String>::new(), "{exchange:?}");
    }
}

#[test]
fn a_wrong_type_is_found_wherever_it_is() {
    let list = "GET /{organization}/{project}/_apis/ships (Ships_List)";
    let mut answer = json!({ "count": 1, "value": [changed("/length", json!("120"))] });
    found(
        &exchange("GET", LIST, &Value::Null, 200, &answer),
        &[list, "answer 200 /value/0/length", "integer"],
    );
    answer = json!({ "count": 1, "value": [changed("/tugs/0/id", json!(12))] });
    found(
        &exchange("GET", LIST, &Value::Null, 200, &answer),
        &[list, "answer 200 /value/0/tugs/0/id", "string"],
    );
    let replace = "PUT /{organization}/_apis/ships/{number} (Ships_Replace)";
    for (pointer, value, said) in [
        ("/length", json!(32_768), "maximum"),
        ("/id", json!("0c9c1f5e"), "uuid"),
        ("/built", json!("yesterday"), "date-time"),
        ("/tags/flag", json!(true), "string"),
        ("/tugs", json!(null), "array"),
    ] {
        let at = format!("request body {pointer}");
        found(
            &replaced(&changed(pointer, value), &ship()),
            &[replace, &at, said],
        );
    }
}

#[test]
fn a_wrong_enum_value_is_found_and_its_case_counts() {
    found(
        &replaced(&ship(), &changed("/state", json!("AtSea"))),
        &["Ships_Replace", "answer 200 /state", "AtSea"],
    );
    found(
        &listed(&format!("{LIST}&state=sunk")),
        &["Ships_List", "query /state", "sunk"],
    );
}

#[test]
fn a_required_field_that_is_missing_is_found_though_it_is_inherited() {
    let mut ship = ship();
    ship["tugs"][0] = json!({});
    found(
        &replaced(&ship, &self::ship()),
        &[
            "Ships_Replace",
            "request body /tugs/0",
            "\"id\" is a required property",
        ],
    );
}

#[test]
fn an_unknown_field_is_found_at_every_depth() {
    found(
        &replaced(&ship(), &changed("/nme", json!("Fram"))),
        &["Ships_Replace", "answer 200", "'nme'"],
    );
    found(
        &replaced(&changed("/tugs/0/nme", json!("Fram")), &ship()),
        &["request body /tugs/0", "'nme'"],
    );
    let bare = json!([ship()]);
    found(
        &exchange("GET", LIST, &Value::Null, 200, &bare),
        &["Ships_List", "answer 200", "object"],
    );
}

#[test]
fn a_query_is_held_against_what_is_declared() {
    let without = |name: &str| {
        let (path, query) = LIST.split_once('?').unwrap();
        let kept: Vec<&str> = query
            .split('&')
            .filter(|it| !it.starts_with(name))
            .collect();
        listed(&format!("{path}?{}", kept.join("&")))
    };
    found(
        &without("since"),
        &["query", "\"since\" is a required property"],
    );
    found(
        &without("api-version"),
        &[
            "Ships_List",
            "query",
            "\"api-version\" is a required property",
        ],
    );
    found(
        &listed(&LIST.replace("7.1", "7.0")),
        &["query /api-version", "7.0"],
    );
    found(
        &listed(&LIST.replace("7.1", "7.1-preview")),
        &["query /api-version", "7.1-preview"],
    );
    found(
        &listed(&LIST.replace("2026-01-01T00:00:00Z", "2026")),
        &["query /since", "date-time"],
    );
    found(
        &listed(&format!("{LIST}&$top=many")),
        &["query /$top", "many"],
    );
    found(
        &listed(&format!("{LIST}&top=5")),
        &["Ships_List", "query", "'top'"],
    );
    found(&listed(&format!("{LIST}&$TOP=5")), &["query", "'$TOP'"]);
    found(
        &listed(&format!("{LIST}&$top=5&$top=5")),
        &["query /$top", "twice"],
    );
}

#[test]
fn what_no_document_has_is_found() {
    found(
        &listed(&LIST.replace("ships", "boats")),
        &[
            "GET /acme/Harbor/_apis/boats",
            "no document has this operation",
        ],
    );
    found(
        &exchange("PATCH", ONE, &ship(), 200, &ship()),
        &["PATCH /acme/_apis/ships/7", "no document"],
    );
    let seven = ONE.replace('7', "seven").replace("seven.1", "7.1");
    found(
        &exchange("DELETE", &seven, &Value::Null, 204, &Value::Null),
        &["Ships_Delete", "path /number", "seven"],
    );
}

#[test]
fn a_status_or_a_body_that_is_not_declared_is_found() {
    found(
        &exchange("DELETE", ONE, &Value::Null, 200, &Value::Null),
        &["Ships_Delete", "answer 200", "not declared"],
    );
    found(
        &exchange("DELETE", ONE, &Value::Null, 204, &ship()),
        &["answer 204", "it has a body"],
    );
    found(
        &exchange("DELETE", ONE, &ship(), 204, &Value::Null),
        &["request body", "none is declared"],
    );
    found(
        &exchange("PUT", ONE, &Value::Null, 200, &ship()),
        &["request body", "missing"],
    );
    let mut cut = replaced(&ship(), &ship());
    cut.answer = cut.answer.slice(..20);
    found(&cut, &["Ships_Replace", "answer 200", "no JSON"]);
}

#[test]
fn a_page_in_place_of_an_answer_is_taken_as_a_sign_in_page_only_where_it_can_be_one() {
    let mut page = listed(LIST);
    page.answer_headers.insert(
        "content-type".to_owned(),
        "text/html; charset=utf-8".to_owned(),
    );
    found(&page, &["answer 200", "text/html"]);
    page.status = 203;
    assert!(findings(&page).is_empty());
    found(
        &exchange("GET", LIST, &Value::Null, 203, &json!({})),
        &["answer 203", "not declared"],
    );
}

#[test]
fn an_exception_changes_what_is_held_against() -> Result<()> {
    let exception = |at, to| Exception {
        document: "harbour",
        at,
        to,
        because: "a test",
    };
    let wanted = exception(
        "/definitions/Vessel/properties/length",
        r#"{ "type": "string", "x-nullable": true }"#,
    );
    let mut documents = BTreeMap::from([("harbour".to_owned(), harbour())]);
    correct(&mut documents, [&wanted])?;
    let documents = [Document::read(&documents["harbour"])?];
    for (length, fits) in [
        (json!("120 m"), true),
        (json!(null), true),
        (json!(120), false),
    ] {
        let judged = judge(&documents, &replaced(&ship_of(&length), &ship_of(&length)));
        assert_eq!(
            judged.findings.is_empty(),
            fits,
            "{length}: {:?}",
            judged.findings
        );
    }
    let mut unchanged = BTreeMap::from([("harbour".to_owned(), harbour())]);
    let nowhere = exception("/definitions/Boat/properties/length", "{}");
    assert!(
        correct(&mut unchanged, [&nowhere]).is_err(),
        "a place that the document does not have"
    );
    Ok(())
}

fn ship_of(length: &Value) -> Value {
    json!({ "id": "0c9c1f5e-6f3b-4f0e-9d55-0a4e2f7c1d11", "length": length })
}
