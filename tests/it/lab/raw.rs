//! Nova and Glance as anybody may use them, without the adapter: what owners and other operators do.

use std::collections::BTreeMap;

use fleetmend::config::clouds::{self, CloudConfig, Credentials, Environment, Wanted};
use serde_json::{Value, json};

/// Requests to Nova and Glance without the adapter.
pub struct Raw {
    client: reqwest::Client,
    token: String,
    endpoints: BTreeMap<String, String>,
}

impl Raw {
    pub async fn log_in(config: &CloudConfig) -> Self {
        let Credentials::Password { password, .. } = &config.credentials else { panic!("the lab has passwords") };
        let domain = json!({"name": "Default"});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {
                "user": {"name": "admin", "domain": domain, "password": password.expose()}}},
            "scope": {"project": {"name": "admin", "domain": domain}}}});
        let client = reqwest::Client::new();
        let url = format!("{}/auth/tokens", config.auth_url.as_str().trim_end_matches('/'));
        let answer = client.post(url).json(&body).send().await.unwrap();
        let token = answer.headers()["x-subject-token"].to_str().unwrap().to_owned();
        let body: Value = answer.json().await.unwrap();
        let endpoint = |service: &Value| {
            let endpoints = service["endpoints"].as_array()?.iter();
            let public = endpoints.clone().find(|one| one["interface"] == "public")?;
            Some((service["type"].as_str()?.to_owned(), public["url"].as_str()?.to_owned()))
        };
        let endpoints = body["token"]["catalog"].as_array().unwrap().iter().filter_map(endpoint).collect();
        Self { client, token, endpoints }
    }

    pub async fn call(&self, method: reqwest::Method, service: &str, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}{path}", self.endpoints[service]);
        // 2.74: a server can be asked for on a host; 2.64: groups have one policy.
        let mut request = self
            .client
            .request(method, &url)
            .header("x-auth-token", &self.token)
            .header("openstack-api-version", "compute 2.90, placement 1.36");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{url}: {status} {text}");
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    /// The status of the answer to a request, whatever it is.
    pub async fn status(&self, method: reqwest::Method, service: &str, path: &str, body: Option<Value>) -> u16 {
        let url = format!("{}{path}", self.endpoints[service]);
        let mut request = self
            .client
            .request(method, &url)
            .header("x-auth-token", &self.token)
            .header("openstack-api-version", "compute 2.90, placement 1.36");
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap().status().as_u16()
    }

    /// The id of the one of `list` that has one of these names.
    pub async fn find(&self, service: &str, path: &str, list: &str, names: &[&str]) -> String {
        let answer = self.call(reqwest::Method::GET, service, path, None).await;
        let all = answer[list].as_array().unwrap();
        let found = names.iter().find_map(|name| all.iter().find(|one| one["name"] == *name));
        found.unwrap_or_else(|| panic!("none of {names:?} at {path}"))["id"].as_str().unwrap().to_owned()
    }
}

/// The settings of one of the lab's clouds.
pub fn cloud(name: &str) -> CloudConfig {
    let environment =
        Environment { variables: std::env::vars().collect(), working_directory: std::env::current_dir().unwrap() };
    clouds::load(&environment, &Wanted { cloud: Some(name.to_owned()), ..Wanted::default() }).unwrap()
}
