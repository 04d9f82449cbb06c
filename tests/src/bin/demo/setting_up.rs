//! Setting up: what is refused, the integration, the picker, a stack, and its service hooks.

use anyhow::{Context, Result, ensure};
use integration_tests::Function;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Demo, NAME, PROJECT, STACK, Webhook, names, says, shown};

impl Demo {
    fn wanted(&self, url: &str, token: &str) -> Value {
        json!({ "name": NAME, "organizationUrl": url, "personalAccessToken": token, "description": "The platform team's" })
    }

    pub(crate) async fn refusals(&self) -> Result<()> {
        let azure_devops = &self.stack.description.azure_dev_ops;
        let (url, token) = (
            &azure_devops.organization_url,
            &azure_devops.personal_access_token,
        );
        let wrong_token = format!("{}AZDO0000", "0".repeat(76));
        for (url, token) in [
            ("https://dev.azure.com.evil.example/tidewater", token),
            (url.as_str(), &wrong_token),
        ] {
            let refused = self
                .call(
                    Function::Setup,
                    Method::POST,
                    "/integrations",
                    Some(self.wanted(url, token)),
                )
                .await?;
            let problem = refused.expect(422)?;
            says(&format!(
                "422 {}: {}",
                shown(&problem["title"]),
                shown(&problem["detail"])
            ));
        }
        self.call(
            Function::Setup,
            Method::GET,
            &format!("/integrations/{NAME}"),
            None,
        )
        .await?
        .expect(404)?;
        says("404 for the integration: nothing was stored");
        Ok(())
    }

    pub(crate) async fn set_up(&self) -> Result<Webhook> {
        let azure_devops = &self.stack.description.azure_dev_ops;
        let wanted = self.wanted(
            &azure_devops.organization_url,
            &azure_devops.personal_access_token,
        );
        let created = self
            .call(Function::Setup, Method::POST, "/integrations", Some(wanted))
            .await?
            .expect(201)?;
        for notification in created["notifications"]
            .as_array()
            .context("no notifications")?
        {
            says(&format!("✓ {}", shown(notification)));
        }
        ensure!(
            created["notifications"]
                == json!([
                    "New integration was created",
                    "Connecting to Azure DevOps succeeded"
                ]),
            "the notifications are others: {}",
            created["notifications"]
        );
        let webhook = Webhook {
            endpoint: shown(&created["webhook"]["endpoint"]).to_owned(),
            password: shown(&created["webhook"]["password"]).to_owned(),
        };
        ensure!(
            webhook.endpoint.ends_with(&format!("/{NAME}")),
            "the endpoint does not end in the name"
        );
        says(&format!("webhook endpoint  {}", webhook.endpoint));
        says(&format!(
            "webhook password  {} characters, shown to the operator and kept as a digest",
            webhook.password.len()
        ));
        let list = self
            .call(Function::Setup, Method::GET, "/integrations", None)
            .await?
            .expect(200)?;
        ensure!(
            list["integrations"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["name"] == NAME)),
            "it is not listed"
        );
        Ok(webhook)
    }

    pub(crate) async fn pick(&self) -> Result<String> {
        let base = format!("/integrations/{NAME}/projects");
        let projects = self
            .call(Function::Setup, Method::GET, &base, None)
            .await?
            .expect(200)?;
        says(&format!("projects      {}", names(&projects["projects"])));
        let path = format!("{base}/{PROJECT}/repositories");
        let repositories = self
            .call(Function::Setup, Method::GET, &path, None)
            .await?
            .expect(200)?;
        says(&format!(
            "repositories  {}",
            names(&repositories["repositories"])
        ));
        let path = format!("{path}/platform/branches?pageSize=3&prefix=feature/");
        let branches = self
            .call(Function::Setup, Method::GET, &path, None)
            .await?
            .expect(200)?;
        says(&format!("branches      {} …", names(&branches["branches"])));
        ensure!(
            names(&branches["branches"]).starts_with("feature/"),
            "the branches do not start with the prefix"
        );
        let all = repositories["repositories"].as_array();
        let chosen = all.and_then(|all| all.iter().find(|one| one["name"] == "platform"));
        Ok(shown(&chosen.context("no repository platform")?["id"]).to_owned())
    }

    pub(crate) async fn follow(&self, repository: &str) -> Result<()> {
        let wanted = |branch: &str| json!({ "name": STACK, "integration": NAME, "project": PROJECT, "repository": repository, "branch": branch, "projectRoot": "prod", "globs": ["modules/**"] });
        let create = async |branch: &str| {
            let body = Some(wanted(branch));
            self.call(Function::Stacks, Method::POST, "/stacks", body)
                .await
        };
        let refused = create("nowhere").await?.expect(422)?;
        says(&format!(
            "422 at {}: {}",
            shown(&refused["field"]),
            shown(&refused["detail"])
        ));
        ensure!(refused["field"] == "branch", "it is another field");
        let created = create("main").await?.expect(201)?;
        says(&format!(
            "{STACK} follows {} of {}/{} in {}, and modules/**",
            shown(&created["branch"]),
            shown(&created["project"]["name"]),
            shown(&created["repository"]["name"]),
            shown(&created["projectRoot"]),
        ));
        let path = format!("/stacks/{STACK}");
        let change = json!({ "projectRoot": "next", "updatedAt": created["updatedAt"] });
        let changed = self
            .call(Function::Stacks, Method::PATCH, &path, Some(change.clone()))
            .await?
            .expect(200)?;
        says(&format!("changed; {}", shown(&changed["notes"][0])));
        ensure!(
            changed["notes"] == json!(["next is not there yet on branch main"]),
            "nothing is said of the project root"
        );
        let late = self
            .call(Function::Stacks, Method::PATCH, &path, Some(change))
            .await?
            .expect(409)?;
        says(&format!(
            "409 for who read it before: {}",
            shown(&late["title"])
        ));
        let back = json!({ "projectRoot": "prod" });
        self.call(Function::Stacks, Method::PATCH, &path, Some(back))
            .await?
            .expect(200)?;
        Ok(())
    }
}
