//! The names that settings may have, brought to one each, and the settings as text, flags and paths.

use std::time::Duration;

use super::error::{CloudsError, Place};
use super::node::{Map, Node, Value};

/// Settings of authentication that may stand beside `auth`, with their other names; the last name given wins.
const BESIDE_AUTH: [(&str, &[&str]); 9] = [
    ("domain_id", &["domain_id"]),
    ("domain_name", &["domain_name"]),
    ("user_domain_id", &["user_domain_id"]),
    ("user_domain_name", &["user_domain_name"]),
    ("project_domain_id", &["project_domain_id"]),
    ("project_domain_name", &["project_domain_name"]),
    ("token", &["auth_token", "token"]),
    ("project_id", &["tenant_id", "project_id"]),
    ("project_name", &["tenant_name", "project_name"]),
];

/// Settings of authentication that may stand beside `auth`, but lose to it.
const ALSO_BESIDE_AUTH: [(&str, Option<&str>); 12] = [
    ("auth_url", None),
    ("username", Some("user_name")),
    ("user_id", None),
    ("password", None),
    ("system_scope", None),
    ("trust_id", None),
    ("default_domain_id", None),
    ("default_domain_name", None),
    ("application_credential_id", None),
    ("application_credential_name", None),
    ("application_credential_secret", None),
    ("endpoint", None),
];

/// A setting that ought to be a boolean.
pub(super) enum Flag {
    /// It is.
    Is(bool),
    /// It is other text.
    Other(String),
}

/// One cloud's settings with one name each; `auth` apart.
pub(super) struct Settings {
    /// Where the cloud's entry begins.
    pub(super) at: Place,
    /// Everything but `auth`.
    general: Map,
    /// `auth`.
    auth: Map,
}

impl Settings {
    /// Brings other and older names to the one that is read. Source: openstacksdk, `OpenStackConfig.magic_fixes`.
    pub(super) fn new(at: Place, mut general: Map) -> Result<Self, CloudsError> {
        let mut auth = match general.shift_remove("auth") {
            Some(node) if !matches!(node.value, Value::Null) => node.as_map("`auth`")?.clone(),
            Some(_) | None => Map::new(),
        };
        fix_timeout(&mut general);
        for (target, names) in BESIDE_AUTH {
            let mut found = None;
            for name in names {
                // What stands beside `auth` wins over it: that is where variables and options arrive.
                for place in [&mut auth, &mut general] {
                    found = place.shift_remove(*name).or(found);
                }
            }
            if let Some(node) = found
                && node.as_text(target)?.is_some()
            {
                auth.insert(target.to_owned(), node);
            }
        }
        general = fix_interface(general);
        fix_domain(&mut auth);
        for (name, former) in ALSO_BESIDE_AUTH {
            let names = [Some(name), former];
            let take = |map: &mut Map| {
                names.into_iter().flatten().fold(None, |found: Option<Node>, name| found.or(map.shift_remove(name)))
            };
            let (inside, beside) = (take(&mut auth), take(&mut general));
            let is_given = |node: &Node| {
                !matches!(&node.value, Value::Null) && !matches!(&node.value, Value::Text(t) if t.is_empty())
            };
            if let Some(node) = inside.filter(is_given).or(beside) {
                auth.insert(name.to_owned(), node);
            }
        }
        Ok(Self { at, general, auth })
    }

    /// A setting of authentication.
    pub(super) fn auth(&self, key: &str) -> Result<Option<(&str, &Place)>, CloudsError> {
        text_of(&self.auth, key)
    }

    /// A setting of authentication that cannot be done without.
    pub(super) fn needed(&self, key: &str) -> Result<(&str, &Place), CloudsError> {
        if let Some(found) = self.auth(key)? {
            return Ok(found);
        }
        let is_near = |other: &str| strsim::jaro_winkler(other, key) > 0.85 && !is_known(other);
        if let Some((name, node)) = self.auth.iter().find(|(name, _)| is_near(name)) {
            return Err(CloudsError::at(&node.at, format!("`auth.{key}` is missing, and `{name}` is not known"))
                .hinting(format!("did you mean `{key}`?")));
        }
        Err(CloudsError::at(&self.at, format!("`auth.{key}` is missing")).hinting(format!(
            "set it in `clouds.yaml` or `secure.yaml`; without `clouds.yaml`, set OS_{}",
            key.to_uppercase()
        )))
    }

    /// A setting beside `auth`, with `{name}` replaced by what other settings say, as openstacksdk does.
    pub(super) fn text(&self, key: &str) -> Result<Option<(String, &Place)>, CloudsError> {
        text_of(&self.general, key)?.map(|(text, at)| Ok((self.format(key, text, at)?, at))).transpose()
    }

    /// Several texts: a list, or one text.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<(String, &Place)>>, CloudsError> {
        match self.general.get(key) {
            Some(Node { value: Value::List(items), .. }) => {
                let texts = items.iter().filter_map(|item| match item.as_text(key) {
                    Ok(text) => text.map(|text| Ok((text.to_owned(), &item.at))),
                    Err(error) => Some(Err(error)),
                });
                texts.collect::<Result<_, _>>().map(Some)
            }
            Some(_) | None => Ok(self.text(key)?.map(|one| vec![one])),
        }
    }

    /// A boolean, spelled `true` or `false` where it comes as text; any other text as it is.
    pub(super) fn flag(&self, key: &str) -> Result<Option<(Flag, &Place)>, CloudsError> {
        if let Some(Node { at, value: Value::Bool(flag) }) = self.general.get(key) {
            return Ok(Some((Flag::Is(*flag), at)));
        }
        let found = self.text(key)?.map(|(text, at)| {
            let flag = match text.to_lowercase().as_str() {
                "true" => Flag::Is(true),
                "false" => Flag::Is(false),
                _ => Flag::Other(text),
            };
            (flag, at)
        });
        Ok(found)
    }

    /// A number of seconds, fractions allowed.
    pub(super) fn seconds(&self, key: &str) -> Result<Option<Duration>, CloudsError> {
        let Some(node) = self.general.get(key) else { return Ok(None) };
        let bad = || CloudsError::at(&node.at, format!("`{key}` must be a number of seconds above zero"));
        let Some(text) = node.as_text(key).map_err(|_| bad())? else { return Ok(None) };
        let seconds: f64 = text.parse().map_err(|_| bad())?;
        let duration = Duration::try_from_secs_f64(seconds).map_err(|_| bad())?;
        if duration.is_zero() { Err(bad()) } else { Ok(Some(duration)) }
    }

    /// Python's `str.format` with names only: `{region_name}` in an `auth_url`.
    pub(super) fn format(&self, key: &str, text: &str, at: &Place) -> Result<String, CloudsError> {
        let mut formatted = String::new();
        let mut rest = text;
        while let Some(index) = rest.find(['{', '}']) {
            formatted.push_str(&rest[..index]);
            let after = &rest[index + 1..];
            let brace = &rest[index..=index];
            if let Some(after_both) = after.strip_prefix(brace) {
                formatted.push_str(brace);
                rest = after_both;
                continue;
            }
            let bad = || {
                CloudsError::at(at, format!("`{key}` has a brace that names no setting"))
                    .hinting("`{region_name}` stands for another setting; write `{{` and `}}` for braces themselves")
            };
            let (name, after_name) = after.split_once('}').filter(|_| brace == "{").ok_or_else(bad)?;
            let (value, _) = text_of(&self.general, name)?.ok_or_else(bad)?;
            formatted.push_str(value);
            rest = after_name;
        }
        formatted.push_str(rest);
        Ok(formatted)
    }
}

fn is_known(key: &str) -> bool {
    BESIDE_AUTH.iter().any(|(name, _)| *name == key) || ALSO_BESIDE_AUTH.iter().any(|(name, _)| *name == key)
}

fn text_of<'a>(map: &'a Map, key: &str) -> Result<Option<(&'a str, &'a Place)>, CloudsError> {
    let Some(node) = map.get(key) else { return Ok(None) };
    Ok(node.as_text(key)?.map(|text| (text, &node.at)))
}

/// Each service's own timeout is everybody's `api_timeout`.
fn fix_timeout(general: &mut Map) {
    let is_alias = |key: &str| key.ends_with("timeout") && key != "timeout" && key != "api_timeout";
    let found = general.iter().filter(|(key, _)| is_alias(key)).map(|(_, node)| node.clone()).next_back();
    if let Some(node) = found {
        general.insert("api_timeout".to_owned(), node);
    }
}

/// `endpoint_type` is the former name of `interface`, and wins where both are given.
fn fix_interface(general: Map) -> Map {
    let mut fixed = Map::new();
    for (key, node) in general {
        match key.strip_suffix("endpoint_type") {
            Some(service) => fixed.insert(format!("{service}interface"), node),
            None => fixed.insert(key, node),
        };
    }
    fixed
}

/// `domain_id` and `domain_name` beside a project say the domain of both user and project; without one they are the scope.
fn fix_domain(auth: &mut Map) {
    if !auth.contains_key("project_id") && !auth.contains_key("project_name") {
        return;
    }
    for (short, targets) in [
        ("domain_id", ["user_domain_id", "project_domain_id"]),
        ("domain_name", ["user_domain_name", "project_domain_name"]),
    ] {
        if let Some(node) = auth.shift_remove(short) {
            for target in targets {
                auth.entry(target.to_owned()).or_insert_with(|| node.clone());
            }
        }
    }
}
