//! The console on the local stack: the page's calls reach the functions as the person's, and with what that person may.

use ::console::{Console, Function as Called, Options, Terminal};
use anyhow::{Context, Result};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use caller::Person;
use integration_tests::{Answer, Function, Keys, Stack};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::new_name;

/// A page with a session in a console that runs until it is dropped.
struct Page {
    url: String,
    token: String,
    http: Client,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Page {
    async fn of(stack: &Stack, keys: &Keys) -> Result<Self> {
        let of = &stack.description;
        let urls = Called::ALL.map(|function| {
            let url = match function {
                Called::Setup => &of.setup,
                Called::Stacks => &of.stacks,
                Called::Runs => &of.runs,
                Called::Deliveries => &of.deliveries,
                Called::Unlink => &of.unlink,
            };
            (function, url.clone())
        });
        let options = Options {
            port: 0,
            ready_file: None,
            region: Some(of.region.clone()),
            environment: Some(of.environment.clone()),
            urls,
        };
        let (id, secret) = (&keys.access_key_id, &keys.secret_access_key);
        let keys = Credentials::new(id, secret, None, None, "stack.json");
        let person = Person::new(
            Some(of.region.clone()),
            SharedCredentialsProvider::new(keys),
        );
        let terminal = Terminal {
            links: None,
            notes: Box::new(std::io::sink()),
        };
        let console = Console::open(&options, &person, terminal).await?;
        let (url, link) = (console.url(), console.link());
        let task = tokio::spawn(console.serve());
        let http = Client::builder().no_proxy().build()?;
        let code = link.split_once('#').context("no code")?.1;
        let asked = http
            .post(format!("{url}/session"))
            .header("origin", &url)
            .json(&json!({ "code": code }));
        let opened = Answer::read(asked.send().await?).await?.expect(200)?;
        Ok(Self {
            token: opened["token"].as_str().context("no token")?.to_owned(),
            url,
            http,
            task,
        })
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let asked = self
            .http
            .request(method, format!("{}/api/{path}", self.url))
            .header("origin", &self.url)
            .header("sec-fetch-site", "same-origin")
            .header("x-stackhook-console", &self.token);
        let asked = match body {
            Some(body) => asked.json(body),
            None => asked,
        };
        Answer::read(asked.send().await?).await
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        self.call(Method::GET, path, None).await
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn names(list: &Value) -> Vec<&str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|it| it["name"].as_str()).collect()
}

#[tokio::test]
async fn an_operators_page_goes_from_an_integration_to_its_end() -> Result<()> {
    let stack = Stack::of_this_test()?;
    let of = &stack.description;
    let keys = Keys {
        access_key_id: of.access_key_id.clone(),
        secret_access_key: of.secret_access_key.clone(),
    };
    let page = Page::of(&stack, &keys).await?;
    let about = page.get("console").await?.expect(200)?;
    assert_eq!(
        about,
        json!({ "environment": of.environment, "region": of.region })
    );

    let name = new_name("console");
    let wanted = json!({
        "name": name,
        "organizationUrl": of.azure_dev_ops.organization_url,
        "personalAccessToken": of.azure_dev_ops.personal_access_token,
    });
    let created = page
        .call(Method::POST, "setup/integrations", Some(&wanted))
        .await?;
    created.expect(201)?;
    let again = page
        .call(Method::POST, "setup/integrations", Some(&wanted))
        .await?;
    assert_eq!(
        again.expect(409)?["type"],
        "urn:stackhook:problem:name-taken",
        "the function's own problem comes through"
    );
    let listed = page.get("setup/integrations").await?.expect(200)?;
    assert!(names(&listed["integrations"]).contains(&name.as_str()));

    // What is encoded is encoded once more for the signature, by both sides.
    let repositories = page
        .get(&format!(
            "setup/integrations/{name}/projects/Quay%20Works/repositories"
        ))
        .await?
        .expect(200)?;
    assert_eq!(names(&repositories["repositories"]), ["tide tables"]);
    let branches = |prefix: &str| {
        let path = "projects/Harbor/repositories/platform/branches";
        format!("setup/integrations/{name}/{path}?prefix={prefix}")
    };
    let found = page.get(&branches("feature%2Fberth")).await?.expect(200)?;
    assert_eq!(names(&found["branches"]), ["feature/berth-plan"]);
    // A space, as forms write it.
    let none = page.get(&branches("feature%2Fberth+plan")).await?;
    assert_eq!(none.expect(200)?["branches"], json!([]));
    for path in [
        "stacks/stacks",
        "runs/runs",
        &format!("deliveries/deliveries?integration={name}"),
        &format!("unlink/integrations/{name}"),
    ] {
        page.get(path).await?.expect(200)?;
    }
    let path = format!("unlink/integrations/{name}");
    let unlinked = page.call(Method::DELETE, &path, None).await?;
    unlinked.expect(200)?;
    stack
        .call(
            Function::Setup,
            Method::GET,
            &format!("/integrations/{name}"),
            None,
        )
        .await?
        .expect(404)?;
    Ok(())
}

#[tokio::test]
async fn whoever_lacks_the_policy_is_told_which_one_it_is() -> Result<()> {
    let stack = Stack::of_this_test()?;
    let page = Page::of(&stack, &stack.description.executor).await?;
    let refused = page.get("setup/integrations").await?.expect(403)?;
    assert_eq!(refused["type"], "urn:stackhook:console:refused");
    let detail = refused["detail"].as_str().context("no detail")?;
    assert!(
        detail.contains("stackhook-<environment>-operator"),
        "{detail}"
    );

    let nobody = Keys {
        access_key_id: "AKIANOBODYKNOWSTHIS1".to_owned(),
        secret_access_key: "nothing".to_owned(),
    };
    let page = Page::of(&stack, &nobody).await?;
    let refused = page.get("deliveries/deliveries").await?.expect(403)?;
    assert_eq!(refused["type"], "urn:stackhook:console:refused");
    Ok(())
}
