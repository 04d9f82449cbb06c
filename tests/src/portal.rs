//! The people at the simulator: one at the portal, who makes service hooks by hand, and one at a keyboard, who pushes.
//! The simulator's own README has its control API.

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The simulator's control API.
#[derive(Clone, Debug)]
pub struct Portal {
    http: Client,
    url: String,
}

impl Portal {
    /// The control API of the simulator at `url`.
    #[must_use]
    pub fn new(http: Client, url: &str) -> Self {
        Self {
            http,
            url: format!("{url}/_control"),
        }
    }

    /// Makes a project with one repository in it, and gives a keyboard at that repository.
    ///
    /// # Errors
    ///
    /// Where the simulator refuses.
    pub async fn repository(
        &self,
        organization: &str,
        project: &str,
        repository: &str,
    ) -> Result<Repository> {
        let projects = format!("organizations/{organization}/projects");
        self.control(Method::POST, &projects, json!({ "name": project }))
            .await?;
        let path = format!("{projects}/{project}/repositories");
        self.control(Method::POST, &path, json!({ "name": repository }))
            .await?;
        Ok(self.keyboard(organization, project, repository))
    }

    /// A keyboard at a repository that is there already.
    #[must_use]
    pub fn keyboard(&self, organization: &str, project: &str, repository: &str) -> Repository {
        Repository {
            portal: self.clone(),
            path: format!(
                "organizations/{organization}/projects/{project}/repositories/{repository}"
            ),
        }
    }

    /// A person makes all five service hooks of a project by hand.
    ///
    /// # Errors
    ///
    /// Where the simulator refuses.
    pub async fn make_hooks(
        &self,
        organization: &str,
        project: &str,
        url: &str,
        password: &str,
    ) -> Result<Value> {
        let form = json!({ "project": project, "url": url, "password": password });
        self.control(
            Method::POST,
            &format!("organizations/{organization}/subscriptions"),
            form,
        )
        .await
    }

    /// A person presses the Test button before saving a hook.
    ///
    /// # Errors
    ///
    /// Where the simulator refuses.
    pub async fn press_test(
        &self,
        organization: &str,
        event_type: &str,
        url: &str,
        password: &str,
    ) -> Result<Value> {
        let form = json!({ "eventType": event_type, "url": url, "password": password });
        self.control(
            Method::POST,
            &format!("organizations/{organization}/test"),
            form,
        )
        .await
    }

    /// The subscriptions of an organization that are sent to `url`.
    ///
    /// # Errors
    ///
    /// Where the simulator refuses.
    pub async fn hooks_to(&self, organization: &str, url: &str) -> Result<Vec<Value>> {
        let all = self
            .control(
                Method::GET,
                &format!("organizations/{organization}/subscriptions"),
                Value::Null,
            )
            .await?;
        let all = all["subscriptions"]
            .as_array()
            .context("no subscriptions")?
            .clone();
        Ok(all
            .into_iter()
            .filter(|hook| hook["consumerInputs"]["url"] == url)
            .collect())
    }

    /// Every attempt to deliver to `url`.
    ///
    /// # Errors
    ///
    /// Where the simulator refuses.
    pub async fn attempts_to(&self, url: &str) -> Result<Vec<Value>> {
        let all = self.control(Method::GET, "deliveries", Value::Null).await?;
        let all = all["deliveries"]
            .as_array()
            .context("no deliveries")?
            .clone();
        Ok(all
            .into_iter()
            .filter(|attempt| attempt["url"] == url)
            .collect())
    }

    /// What Azure DevOps shows at a path of its REST API, to who has the token.
    ///
    /// # Errors
    ///
    /// Where it refuses.
    pub async fn shows(&self, token: &str, path: &str) -> Result<Value> {
        let url = self.url.trim_end_matches("/_control");
        let answer = self
            .http
            .get(format!("{url}/{path}"))
            .basic_auth("", Some(token))
            .send()
            .await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("Azure DevOps answers {status} to {path}");
        }
        Ok(answer.json().await?)
    }

    /// Waits until nothing is under way.
    ///
    /// # Errors
    ///
    /// Where it does not become quiet.
    pub async fn settle(&self) -> Result<()> {
        let answer = self.control(Method::POST, "settle", Value::Null).await?;
        if answer["settled"] != json!(true) {
            bail!("deliveries are still under way: {answer}");
        }
        Ok(())
    }

    /// Any call of the control API.
    ///
    /// # Errors
    ///
    /// Where the simulator refuses.
    pub async fn control(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let mut request = self.http.request(method, format!("{}/{path}", self.url));
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("the simulator answers {status} to {path}: {text}");
        }
        if text.is_empty() {
            Ok(Value::Null)
        } else {
            serde_json::from_str(&text).context("no JSON from the simulator")
        }
    }
}

/// A keyboard at one repository.
#[derive(Clone, Debug)]
pub struct Repository {
    portal: Portal,
    path: String,
}

impl Repository {
    /// Pushes; the simulator's README has the fields.
    ///
    /// # Errors
    ///
    /// Where the simulator refuses.
    pub async fn push(&self, push: Value) -> Result<Value> {
        self.call(Method::POST, "pushes", push).await
    }

    /// Any control call under this repository.
    ///
    /// # Errors
    ///
    /// Where the simulator refuses.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        self.portal
            .control(method, &format!("{}/{path}", self.path), body)
            .await
    }
}
