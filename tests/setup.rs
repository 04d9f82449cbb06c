//! Setting up, showing, and the picker, in process, each against a simulator of its own.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use simulator::Running;

use crate::support::{
    Bed, Fate, Tap, answer::Answer, azure_devops, get, json as body_of, new_name, now, parts,
    portal, problem, request, send,
};

fn wanted(azure_devops: &Running, name: &str) -> Value {
    json!({
        "name": name,
        "organizationUrl": azure_devops.organization_url(),
        "personalAccessToken": azure_devops.token("good"),
    })
}

#[tokio::test]
async fn creating_verifies_stores_and_says_both_notifications_word_for_word() -> Result<()> {
    let (bed, azure_devops, name) = (Bed::new()?, azure_devops().await?, new_name("setup"));
    let app = bed.setup(&azure_devops).await?;
    let mut wanted = wanted(&azure_devops, &name);
    wanted["description"] = json!("The platform team's");
    wanted["labels"] = json!(["platform", "prod"]);
    wanted["personalAccessTokenExpiresOn"] = json!("2099-12-31");
    let (status, created) = parts(&app.handle(send("POST", "/integrations", &wanted)).await)?;
    assert_eq!(status, 201, "{created}");
    assert_eq!(
        created["notifications"],
        json!([
            "New integration was created",
            "Connecting to Azure DevOps succeeded"
        ])
    );
    let endpoint = format!("{}/{name}", bed.stack.description.webhook);
    assert_eq!(created["webhook"]["endpoint"], endpoint);
    let password = created["webhook"]["password"]
        .as_str()
        .context("no password")?;
    assert_eq!(password.len(), 43);

    let shown = body_of(app.handle(get(&format!("/integrations/{name}"))).await)?;
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["organization"], "tidewater");
    assert_eq!(shown["labels"], json!(["platform", "prod"]));
    assert_eq!(shown["personalAccessTokenExpiresOn"], "2099-12-31");
    assert_eq!(shown["connection"]["status"], "succeeded");
    assert!(
        !shown.to_string().contains(password)
            && !shown.to_string().contains(azure_devops.token("good"))
    );

    let webhook = body_of(
        app.handle(get(&format!("/integrations/{name}/webhook")))
            .await,
    )?;
    assert_eq!(
        webhook,
        json!({ "endpoint": endpoint, "password": password })
    );
    // Two questions of who and what, one of repositories; each asks for a plain refusal instead of a sign-in page.
    let asked = azure_devops.requests();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked.iter().all(|request| {
        request
            .headers
            .iter()
            .any(|header| header == "x-tfs-fedauthredirect")
    }));
    Ok(())
}

#[tokio::test]
async fn u8_a_name_that_is_taken_is_409_and_asks_nothing_of_azure_devops() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let linked = bed.linked().await?;
    let app = bed.setup(&azure_devops).await?;
    let (status, body) = parts(
        &app.handle(send(
            "POST",
            "/integrations",
            &wanted(&azure_devops, linked.name.as_str()),
        ))
        .await,
    )?;
    assert_eq!(
        (status, problem(&body), body["field"].as_str()),
        (409, "name-taken", Some("name"))
    );
    assert!(azure_devops.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn u8_two_at_once_under_one_name_make_one_integration() -> Result<()> {
    let (bed, azure_devops, name) = (Bed::new()?, azure_devops().await?, new_name("twice"));
    let (one, other) = (
        bed.setup(&azure_devops).await?,
        bed.setup(&azure_devops).await?,
    );
    let wanted = wanted(&azure_devops, &name);
    let (one, other) = tokio::join!(
        one.handle(send("POST", "/integrations", &wanted)),
        other.handle(send("POST", "/integrations", &wanted))
    );
    let mut statuses = [one.status().as_u16(), other.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    let winner = if one.status() == 201 { one } else { other };
    let password = body_of(winner)?["webhook"]["password"].clone();
    let app = bed.setup(&azure_devops).await?;
    let shown = body_of(
        app.handle(get(&format!("/integrations/{name}/webhook")))
            .await,
    )?;
    assert_eq!(
        shown["password"], password,
        "the password that was told is the one that is kept"
    );
    Ok(())
}

/// Every way in which Azure DevOps refuses, what the caller is told, and that nothing is stored.
#[tokio::test]
async fn u4_each_refused_connection_is_a_422_that_says_which_it_was_and_stores_nothing()
-> Result<()> {
    let bed = Bed::new()?;
    let token = |kind: &'static str| (kind, None, json!({}));
    let fault = |fault: Value| ("good", None, fault);
    let cases = [
        ("token-refused", token("unknown")),
        ("token-refused", token("expired")),
        ("token-refused", token("otherOrganization")),
        ("token-lacks-scope", token("withoutScope")),
        ("token-lacks-scope", token("withoutPermission")),
        ("token-lacks-scope", token("withoutProjects")),
        (
            "organization-not-found",
            ("good", Some("no-such-organization"), json!({})),
        ),
        ("token-refused", fault(json!({ "kind": "signInPage" }))),
        ("token-refused", fault(json!({ "kind": "redirect" }))),
        ("token-refused", fault(json!({ "kind": "notJson" }))),
        (
            "azure-devops-slow-down",
            fault(json!({ "kind": "tooManyRequests", "retryAfterSeconds": 17 })),
        ),
        (
            "azure-devops-unreachable",
            fault(json!({ "kind": "status", "status": 503 })),
        ),
        ("azure-devops-unreachable", fault(json!({ "kind": "drop" }))),
        (
            "azure-devops-unexpected",
            fault(json!({ "kind": "cutOff" })),
        ),
        // The same refusals in the middle: the first call succeeds.
        (
            "token-refused",
            fault(json!({ "kind": "signInPage", "path": "_apis/git/repositories" })),
        ),
        (
            "azure-devops-unreachable",
            fault(json!({ "kind": "drop", "path": "_apis/projects" })),
        ),
    ];
    for (expected, (kind, organization, fault)) in cases {
        let (azure_devops, name) = (azure_devops().await?, new_name("refused"));
        let app = bed.setup(&azure_devops).await?;
        if fault["kind"].is_string() {
            portal(&azure_devops)?
                .control(reqwest::Method::POST, "faults", fault.clone())
                .await?;
        }
        let mut wanted = wanted(&azure_devops, &name);
        wanted["personalAccessToken"] = json!(azure_devops.token(kind));
        if let Some(organization) = organization {
            wanted["organizationUrl"] = json!(format!("{}/{organization}", azure_devops.url()));
        }
        let response = app.handle(send("POST", "/integrations", &wanted)).await;
        let (status, body) = parts(&response)?;
        assert_eq!(
            (status, problem(&body)),
            (422, expected),
            "{kind} {fault}: {body}"
        );
        assert!(
            body["detail"]
                .as_str()
                .is_some_and(|detail| detail.len() > 20),
            "{body}"
        );
        assert!(
            !body.to_string().contains(azure_devops.token(kind)),
            "the token is in the answer"
        );
        let (status, _) = parts(&app.handle(get(&format!("/integrations/{name}"))).await)?;
        assert_eq!(status, 404, "{kind} {fault}: something was stored");
        assert!(
            bed.secrets()
                .await
                .credential(&name.parse()?)
                .await
                .is_err()
        );
        // What was wrong is put right: the name is free.
        portal(&azure_devops)?
            .control(reqwest::Method::DELETE, "faults", Value::Null)
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn u3_a_redirect_is_not_followed_with_the_token() -> Result<()> {
    let (bed, azure_devops, name) = (Bed::new()?, azure_devops().await?, new_name("redirect"));
    let app = bed.setup(&azure_devops).await?;
    portal(&azure_devops)?
        .control(
            reqwest::Method::POST,
            "faults",
            json!({ "kind": "redirect" }),
        )
        .await?;
    app.handle(send("POST", "/integrations", &wanted(&azure_devops, &name)))
        .await;
    assert_eq!(azure_devops.requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn u2_every_form_of_the_organization_url_leads_to_the_same_organization() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let app = bed.setup(&azure_devops).await?;
    let own = azure_devops.organization_url();
    for url in [
        own.clone(),
        format!("  {own}/ "),
        format!("{own}/Harbor/_git/platform"),
        "https://dev.azure.com/Tidewater".to_owned(),
        "https://tidewater.visualstudio.com/DefaultCollection".to_owned(),
        "https://tidewater@dev.azure.com/tidewater/Harbor/_git/platform".to_owned(),
    ] {
        let mut wanted = wanted(&azure_devops, &new_name("form"));
        wanted["organizationUrl"] = json!(url);
        let (status, created) = parts(&app.handle(send("POST", "/integrations", &wanted)).await)?;
        assert_eq!(
            (status, created["organizationUrl"].as_str()),
            (201, Some(own.as_str())),
            "{url}: {created}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn u1_a_hostile_organization_url_is_refused_at_its_field_and_causes_no_call() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let app = bed.setup(&azure_devops).await?;
    let port = azure_devops
        .url()
        .rsplit(':')
        .next()
        .context("no port")?
        .to_owned();
    let long = format!("https://dev.azure.com/{}", "a".repeat(4_096));
    let hostile = [
        "http://dev.azure.com/tidewater".to_owned(),
        "https://dev.azure.com.evil.tld/tidewater".to_owned(),
        "https://evil@dev.azure.com".to_owned(),
        "https://dev.azure.com@evil".to_owned(),
        "https://dev.azure.com:444/tidewater".to_owned(),
        "https://dev.azure.com%2eevil/tidewater".to_owned(),
        "//dev.azure.com/tidewater".to_owned(),
        "javascript:alert(1)".to_owned(),
        "file:///etc/passwd".to_owned(),
        "\\\\host\\tidewater".to_owned(),
        "https://[::ffff:169.254.169.254]/tidewater".to_owned(),
        "http://2130706433".to_owned(),
        "https://0x7f.1/tidewater".to_owned(),
        "https://dev.azure.com./tidewater".to_owned(),
        "https://dеv.azure.com/tidewater".to_owned(),
        "https://xn--dv-vfz.azure.com/tidewater".to_owned(),
        long,
        "https://dev.azure.com/tidewater\r\nHost: evil".to_owned(),
        "https://dev.azure.com?@evil/tidewater".to_owned(),
        "https://dev.azure.com#@evil/tidewater".to_owned(),
        format!("http://localhost:{port}/tidewater"),
        format!("https://127.0.0.1:{port}/tidewater"),
        format!("http://127.0.0.1:{port}@evil/tidewater"),
        format!("http://evil@127.0.0.1:{port}/tidewater"),
    ];
    for url in hostile {
        let mut wanted = wanted(&azure_devops, &new_name("hostile"));
        wanted["organizationUrl"] = json!(url);
        let (status, body) = parts(&app.handle(send("POST", "/integrations", &wanted)).await)?;
        assert_eq!(
            (status, problem(&body)),
            (422, "not-an-organization-url"),
            "{url}: {body}"
        );
        assert_eq!(body["field"], "organizationUrl", "{url}");
    }
    assert!(
        azure_devops.requests().is_empty(),
        "{:?}",
        azure_devops.requests()
    );
    Ok(())
}

#[tokio::test]
async fn fields_that_cannot_be_are_refused_by_name_without_any_call() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let app = bed.setup(&azure_devops).await?;
    let long = "x".repeat(1_001);
    for (field, value, expected) in [
        ("name", json!("Not A Slug"), "invalid-field"),
        ("personalAccessToken", json!(""), "invalid-field"),
        ("personalAccessToken", json!("short"), "invalid-field"),
        (
            "personalAccessTokenExpiresOn",
            json!("2020-01-01"),
            "invalid-field",
        ),
        (
            "personalAccessTokenExpiresOn",
            json!("soon"),
            "invalid-field",
        ),
        ("description", json!(long), "invalid-field"),
        ("labels", json!([""]), "invalid-field"),
        ("organizationUrl", json!(7), "invalid-request"),
        ("unknown", json!(7), "invalid-request"),
    ] {
        let mut wanted = wanted(&azure_devops, &new_name("field"));
        wanted[field] = value.clone();
        let (status, body) = parts(&app.handle(send("POST", "/integrations", &wanted)).await)?;
        assert_eq!(problem(&body), expected, "{field} {value}: {body}");
        assert_eq!(
            status,
            if expected == "invalid-field" {
                422
            } else {
                400
            },
            "{field}"
        );
        assert!(
            body["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty()),
            "{body}"
        );
    }
    assert!(azure_devops.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn u12_a_secret_that_cannot_be_written_leaves_nothing_and_the_name_free() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let refused = Fate::Answer(Answer::error(400, "LimitExceededException"));
    for (failing, fate) in [1, 2]
        .into_iter()
        .flat_map(|it| [(it, refused), (it, Fate::Cut)])
    {
        let name = new_name("half");
        // The first of the two secrets, or the second, with all tries of the SDK.
        let judge = move |call: &str, number: usize| {
            if call == "secretsmanager.CreateSecret" && number >= failing {
                fate
            } else {
                Fate::Pass
            }
        };
        let tap = Tap::on(&bed.stack.description.endpoint_url, judge).await?;
        let app = bed.setup_at(&azure_devops, &tap.url()).await?;
        let create = || send("POST", "/integrations", &wanted(&azure_devops, &name));
        let (status, body) = parts(&app.handle(create()).await)?;
        assert_eq!((status, problem(&body)), (503, "unavailable"), "{body}");
        let secrets = bed.secrets().await;
        let orphan = secrets.credential(&name.parse()?).await;
        assert!(orphan.is_err(), "an orphan secret");
        let (status, shown) = parts(&app.handle(get(&format!("/integrations/{name}"))).await)?;
        if fate == refused {
            assert_eq!(status, 404, "{failing}: {shown}");
        } else {
            // A write of which nothing is known may still arrive: the claim runs out by itself.
            assert_eq!(shown["status"], "pending", "{failing}: {shown}");
            bed.two_minutes_pass(&name).await?;
        }
        let app = bed.setup(&azure_devops).await?;
        let (status, body) = parts(&app.handle(create()).await)?;
        assert_eq!(status, 201, "the same name again: {body}");
    }
    Ok(())
}

#[tokio::test]
async fn u10_the_list_is_paged_and_a_forged_page_token_is_400() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let app = bed.setup(&azure_devops).await?;
    let made = [
        bed.linked().await?,
        bed.linked().await?,
        bed.linked().await?,
    ];
    // Tombstones between them are no integrations, and take no place on a page.
    let store = bed.store().await;
    for _ in 0..3 {
        let gone = bed.linked().await?;
        store.begin_unlink(&gone.name, "one", now()).await?;
        store.finish_unlink(&gone.name, "one", true, now()).await?;
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let page = body_of(
            app.handle(get(&format!("/integrations?pageSize=2&pageToken={token}")))
                .await,
        )?;
        let rows = page["integrations"].as_array().context("no integrations")?;
        assert!(rows.len() == 2 || page["nextPageToken"].is_null(), "{page}");
        names.extend(
            rows.iter()
                .filter_map(|row| row["name"].as_str().map(str::to_owned)),
        );
        match page["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    for linked in made {
        assert_eq!(
            names
                .iter()
                .filter(|name| *name == linked.name.as_str())
                .count(),
            1
        );
    }
    let (status, body) = parts(&app.handle(get("/integrations?pageToken=forged")).await)?;
    assert_eq!((status, problem(&body)), (400, "invalid-page-token"));
    Ok(())
}

#[tokio::test]
async fn the_picker_pages_projects_lists_repositories_and_finds_branches_by_prefix() -> Result<()> {
    let (bed, azure_devops, name) = (Bed::new()?, azure_devops().await?, new_name("picker"));
    let app = bed.setup(&azure_devops).await?;
    body_of(
        app.handle(send("POST", "/integrations", &wanted(&azure_devops, &name)))
            .await,
    )?;
    let (mut projects, mut token) = (Vec::new(), String::new());
    loop {
        let path = format!("/integrations/{name}/projects?pageSize=3&pageToken={token}");
        let page = body_of(app.handle(get(&path)).await)?;
        projects.extend(page["projects"].as_array().context("no projects")?.clone());
        match page["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert!(projects.len() > 3, "{projects:?}");
    assert!(projects.iter().any(|project| project["name"] == "Harbor"));

    // By name, with a space in it, too.
    for project in projects
        .iter()
        .filter_map(|project| project["name"].as_str())
    {
        let path = format!(
            "/integrations/{name}/projects/{}/repositories",
            project.replace(' ', "%20")
        );
        let repositories = body_of(app.handle(get(&path)).await)?;
        assert!(repositories["repositories"].is_array(), "{project}");
    }
    let path = format!("/integrations/{name}/projects/Harbor/repositories/platform/branches");
    let all = body_of(app.handle(get(&path)).await)?;
    assert!(
        all["branches"]
            .as_array()
            .is_some_and(|all| all.iter().any(|branch| branch["name"] == "main"))
    );
    let some = body_of(
        app.handle(get(&format!("{path}?prefix=feature/&pageSize=4")))
            .await,
    )?;
    let some = some["branches"].as_array().context("no branches")?;
    assert_eq!(some.len(), 4);
    assert!(some.iter().all(|branch| {
        branch["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("feature/"))
    }));

    for path in [
        "projects/Nowhere/repositories",
        "projects/Harbor/repositories/nowhere/branches",
        "projects/%2e%2e/repositories",
    ] {
        let (status, body) = parts(
            &app.handle(get(&format!("/integrations/{name}/{path}")))
                .await,
        )?;
        assert_eq!(
            (status, problem(&body)),
            (404, "not-found"),
            "{path}: {body}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn verification_tells_and_keeps_how_it_went() -> Result<()> {
    let (bed, azure_devops, name) = (Bed::new()?, azure_devops().await?, new_name("verify"));
    let app = bed.setup(&azure_devops).await?;
    body_of(
        app.handle(send("POST", "/integrations", &wanted(&azure_devops, &name)))
            .await,
    )?;
    let path = format!("/integrations/{name}/verification");
    let verified = body_of(app.handle(send("POST", &path, &json!({}))).await)?;
    assert_eq!(
        verified["notifications"],
        json!(["Connecting to Azure DevOps succeeded"])
    );

    portal(&azure_devops)?
        .control(reqwest::Method::POST, "tokens/good/expire", Value::Null)
        .await?;
    let (status, body) = parts(&app.handle(send("POST", &path, &json!({}))).await)?;
    assert_eq!((status, problem(&body)), (422, "token-refused"));
    assert!(
        body["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("expired")),
        "{body}"
    );
    let shown = body_of(app.handle(get(&format!("/integrations/{name}"))).await)?;
    assert_eq!(shown["connection"]["status"], "failed");
    assert_eq!(shown["connection"]["failure"], body["detail"]);
    assert_eq!(
        shown["status"], "active",
        "deliveries are stored all the same"
    );
    Ok(())
}

#[tokio::test]
async fn unknown_integrations_paths_and_methods_are_refused() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let app = bed.setup(&azure_devops).await?;
    let nobody = new_name("nobody");
    for (method, path, expected) in [
        ("GET", format!("/integrations/{nobody}"), 404),
        ("GET", format!("/integrations/{nobody}/webhook"), 404),
        ("POST", format!("/integrations/{nobody}/verification"), 404),
        ("GET", format!("/integrations/{nobody}/projects"), 404),
        ("GET", "/integrations/Not%20A%20Slug".to_owned(), 404),
        ("GET", "/".to_owned(), 404),
        ("GET", "/elsewhere".to_owned(), 404),
        ("DELETE", "/integrations".to_owned(), 405),
        ("GET", format!("/integrations/{nobody}/verification"), 405),
        ("GET", "/integrations?pageSize=0".to_owned(), 400),
        ("GET", "/integrations?pageSize=many".to_owned(), 400),
    ] {
        let answer = app.handle(send(method, &path, &json!({}))).await;
        let (allow, (status, body)) = (answer.headers().get("allow"), parts(&answer)?);
        assert_eq!(status, expected, "{method} {path}: {body}");
        assert!(
            status != 405 || allow.is_some(),
            "{method} {path}: no Allow"
        );
        assert!(
            body["title"].is_string() && body["detail"].is_string(),
            "{body}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn u5_markup_is_data_in_every_answer() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let app = bed.setup(&azure_devops).await?;
    let markup = "<script>alert(1)</script> {{7*7}} =cmd()";
    let mut wanted = wanted(&azure_devops, &new_name("markup"));
    wanted["description"] = json!(markup);
    wanted["labels"] = json!([markup]);
    let created = app.handle(send("POST", "/integrations", &wanted)).await;
    wanted["name"] = json!(markup);
    let refused = app.handle(send("POST", "/integrations", &wanted)).await;
    for answer in [&created, &refused] {
        let kind = answer.headers()["content-type"].to_str()?;
        assert!(kind.starts_with("application/") && kind.ends_with("json"));
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    }
    let body = body_of(created)?;
    assert_eq!(body["description"], markup);
    assert_eq!(body["labels"], json!([markup]));
    let (status, body) = parts(&refused)?;
    assert_eq!(status, 422);
    assert!(!body.to_string().contains("<script>"), "it is not repeated");
    Ok(())
}

#[tokio::test]
async fn u11_what_is_no_json_of_ours_is_400_and_causes_no_call() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let app = bed.setup(&azure_devops).await?;
    let many: serde_json::Map<String, Value> = (0..10_000)
        .map(|number| (format!("f{number}"), json!(1)))
        .collect();
    let mut long = wanted(&azure_devops, &new_name("long"));
    long["description"] = json!("x".repeat(1_000_000));
    for (case, body) in [
        (
            "a form",
            "name=acme&organizationUrl=https%3A%2F%2Fdev.azure.com%2Facme".to_owned(),
        ),
        ("nothing", String::new()),
        ("an array", "[]".to_owned()),
        ("deep", "[".repeat(60_000)),
        ("ten thousand fields", Value::from(many).to_string()),
        ("a field of a megabyte", long.to_string()),
    ] {
        let request = request(
            "POST",
            "/integrations",
            &[("content-type", "application/x-www-form-urlencoded")],
            lambda_http::Body::from(body),
        );
        let (status, body) = parts(&app.handle(request).await)?;
        assert_eq!((status, problem(&body)), (400, "invalid-request"), "{case}");
    }
    assert!(azure_devops.requests().is_empty());
    Ok(())
}
