//! Where Microsoft's documents are wrong or silent, and what is right, with the source: each entry changes the document
//! before it is held against anything, and a test shows that none of them is idle.
//!
//! *facts* are `facts/azure-devops.md`; a *capture* is a file of the payload corpus.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

/// One thing in a document that is not so.
pub(crate) struct Exception {
    /// Of which document: its file, without `.json`.
    pub(crate) document: &'static str,
    /// A JSON pointer: what stands there is replaced, or added.
    pub(crate) at: &'static str,
    /// What should stand there.
    pub(crate) to: &'static str,
    /// Why, and who says so.
    pub(crate) because: &'static str,
}

/// All of them.
pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        document: "core",
        at: "/definitions/ReferenceLinks",
        to: LINKS,
        because: "declared as the class that serialises it; on the wire the links themselves (each capture; facts 4.2, 4.3)",
    },
    Exception {
        document: "git",
        at: "/definitions/ReferenceLinks",
        to: LINKS,
        because: "as in core",
    },
    Exception {
        document: "serviceHooks",
        at: "/definitions/ReferenceLinks",
        to: LINKS,
        because: "as in core (capture go-scm-rest-hook.json)",
    },
    Exception {
        document: "core",
        at: "/paths/~1{organization}~1_apis~1connectionData",
        to: CONNECTION_DATA,
        because: "in no document, and never out of preview (openapi/README.md; facts 6.1, 6.2)",
    },
    Exception {
        document: "git",
        at: "/paths/~1{organization}~1{project}~1_apis~1git~1repositories~1{repositoryId}~1pushes~1{pushId}~1commits",
        to: COMMITS_OF_A_PUSH,
        because: "in no document; a push links to it, and it pages by top and skip (facts 4.2, capture tingle-git.push-3.json)",
    },
    Exception {
        document: "git",
        at: "/paths/~1{organization}~1{project}~1_apis~1git~1repositories~1{repositoryId}~1commits~1{commitId}~1statuses/post/responses",
        to: r##"{ "201": { "schema": { "$ref": "#/definitions/GitStatus" } } }"##,
        because: "declared as 200; a commit's status is answered 201, a pull request's 200 (facts 6.1)",
    },
    Exception {
        document: "git",
        at: "/definitions/Change/properties/item",
        to: r##"{ "$ref": "#/definitions/GitItem" }"##,
        because: "declared as a string of format T, a type parameter; of a commit it is an item (facts 6.1)",
    },
    Exception {
        document: "git",
        at: "/definitions/Change/properties/changeType",
        to: CHANGE_TYPES,
        because: "declared as one word; a moved file is `edit, rename` and leaves `delete, sourceRename` (azure-devops-node-api #386 has their numbers, 10 and 1040; azure_devops_rust_api adds both to the document)",
    },
    Exception {
        document: "serviceHooks",
        at: "/paths/~1{organization}~1_apis~1hooks~1subscriptions~1{subscriptionId}/delete/responses",
        to: r#"{ "204": {} }"#,
        because: "declared as 200; it is 204 (facts 6.1)",
    },
    Exception {
        document: "serviceHooks",
        at: "/definitions/Subscription/properties/subscriber",
        to: r##"{ "$ref": "#/definitions/IdentityRef", "x-nullable": true }"##,
        because: "null on the wire (captures go-scm-rest-hook.json, go-scm-rest-hooks.json)",
    },
    Exception {
        document: "serviceHooks",
        at: "/definitions/Subscription/properties/probationRetries",
        to: r#"{ "type": "integer", "format": "int32" }"#,
        because: "declared as a string of format byte; a number on the wire (openapi/README.md; facts 3.1, capture go-scm-rest-hook.json)",
    },
    Exception {
        document: "serviceHooks",
        at: "/definitions/Event/properties/message",
        to: MESSAGE_OR_NULL,
        because: "null where messagesToSend is none (facts 3.5)",
    },
    Exception {
        document: "serviceHooks",
        at: "/definitions/Event/properties/detailedMessage",
        to: MESSAGE_OR_NULL,
        because: "null where detailedMessagesToSend is none (facts 3.5)",
    },
];

const LINKS: &str = r#"{
    "type": "object",
    "additionalProperties": {
        "type": "object", "properties": { "href": { "type": "string" } }, "required": ["href"]
    }
}"#;

const CHANGE_TYPES: &str = r#"{ "enum": [
    "none", "add", "edit", "encoding", "rename", "delete", "undelete", "branch", "merge", "lock", "rollback", "sourceRename",
    "targetRename", "property", "all", "edit, rename", "delete, sourceRename"
] }"#;

const MESSAGE_OR_NULL: &str =
    r##"{ "$ref": "#/definitions/FormattedEventMessage", "x-nullable": true }"##;

const CONNECTION_DATA: &str = r#"{ "get": {
    "operationId": "connectionData",
    "produces": ["application/json"],
    "parameters": [
        { "in": "path", "name": "organization", "type": "string", "required": true },
        { "in": "query", "name": "api-version", "type": "string", "required": true, "description": "'7.1-preview'" }
    ],
    "responses": { "200": { "schema": { "type": "object",
        "required": ["authenticatedUser", "authorizedUser", "instanceId", "deploymentType"],
        "properties": {
            "authenticatedUser": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": { "type": "string", "format": "uuid" },
                    "descriptor": { "type": "string" },
                    "subjectDescriptor": { "type": "string" },
                    "providerDisplayName": { "type": "string" },
                    "customDisplayName": { "type": "string" },
                    "isActive": { "type": "boolean" },
                    "properties": { "type": "object" },
                    "resourceVersion": { "type": "integer", "format": "int32" },
                    "metaTypeId": { "type": "integer", "format": "int32" }
                }
            },
            "authorizedUser": { "type": "object" },
            "instanceId": { "type": "string", "format": "uuid" },
            "deploymentId": { "type": "string", "format": "uuid" },
            "deploymentType": { "enum": ["hosted", "onPremises"] },
            "locationServiceData": { "type": "object" }
        }
    } } }
} }"#;

const COMMITS_OF_A_PUSH: &str = r##"{ "get": {
    "operationId": "Commits of a push",
    "produces": ["application/json"],
    "parameters": [
        { "in": "path", "name": "organization", "type": "string", "required": true },
        { "in": "path", "name": "project", "type": "string", "required": true, "x-ms-required": false },
        { "in": "path", "name": "repositoryId", "type": "string", "required": true },
        { "in": "path", "name": "pushId", "type": "integer", "format": "int32", "required": true },
        { "in": "query", "name": "top", "type": "integer", "format": "int32", "required": false },
        { "in": "query", "name": "skip", "type": "integer", "format": "int32", "required": false },
        { "$ref": "#/parameters/api-Version" }
    ],
    "responses": { "200": { "schema": {
        "type": "array", "items": { "$ref": "#/definitions/GitCommitRef" }
    } } }
} }"##;

/// A sign-in page in place of an answer: 203, or a redirect to it, and never JSON (facts 7). No document has it.
pub(crate) fn is_sign_in_page(status: u16, media_type: &str) -> bool {
    matches!(status, 203 | 302) && media_type == "text/html"
}

/// Changes the documents, which are given by name.
pub(crate) fn correct<'a>(
    documents: &mut BTreeMap<String, Value>,
    exceptions: impl IntoIterator<Item = &'a Exception>,
) -> Result<()> {
    for exception in exceptions {
        let Exception {
            document, at, to, ..
        } = exception;
        let root = documents
            .get_mut(*document)
            .with_context(|| format!("no document {document}"))?;
        let (parent, name) = at.rsplit_once('/').context("no pointer")?;
        let parent = root.pointer_mut(parent).and_then(Value::as_object_mut);
        let name = name.replace("~1", "/").replace("~0", "~");
        parent
            .with_context(|| format!("{document} has no place {at}"))?
            .insert(name, serde_json::from_str(to)?);
    }
    Ok(())
}
