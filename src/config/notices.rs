//! The part of the configuration file that says who is told of what: `notices`.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de};
use url::Url;

use crate::notify::{Form, Mail, MailWay, Occasion, Target, WebhookUrl};

/// As it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Notices {
    webhooks: Vec<Webhook>,
    mail: Vec<Letter>,
    commands: Vec<Program>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Webhook {
    #[serde(deserialize_with = "webhook")]
    url: WebhookUrl,
    #[serde(default)]
    form: Form,
    #[serde(default)]
    on: Vec<Occasion>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    #[serde(deserialize_with = "addresses")]
    to: Vec<String>,
    #[serde(default = "sender", deserialize_with = "address")]
    from: String,
    #[serde(default)]
    smtp: Option<String>,
    #[serde(default = "sendmail")]
    sendmail: PathBuf,
    #[serde(default)]
    on: Vec<Occasion>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Program {
    #[serde(deserialize_with = "words")]
    command: Vec<String>,
    #[serde(default)]
    on: Vec<Occasion>,
}

fn sender() -> String {
    "fleetmend@localhost".to_owned()
}

/// Where the Filesystem Hierarchy Standard has it.
fn sendmail() -> PathBuf {
    PathBuf::from("/usr/sbin/sendmail")
}

/// Never repeats what was written: whoever has the address may write there.
fn webhook<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WebhookUrl, D::Error> {
    let url: Option<Url> = String::deserialize(deserializer)?.parse().ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    url.map(WebhookUrl).ok_or_else(|| de::Error::custom("a webhook is an address that begins with `https://`"))
}

fn is_address(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() || c == ' ';
    text.contains('@') && text.chars().all(plain) && !text.starts_with('-')
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_address(&text) {
        Ok(text)
    } else {
        Err(de::Error::custom(format!("`{}` is no mail address", text.escape_debug())))
    }
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    match texts.iter().find(|text| !is_address(text)) {
        None if texts.is_empty() => Err(de::Error::custom("mail needs somebody to go to")),
        None => Ok(texts),
        Some(text) => Err(de::Error::custom(format!("`{}` is no mail address", text.escape_debug()))),
    }
}

fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    if words.first().is_none_or(String::is_empty) {
        return Err(de::Error::custom("a command has at least one word"));
    }
    Ok(words)
}

impl Notices {
    /// All places in the order in which they are written.
    pub(super) fn targets(self) -> Vec<Target> {
        let webhooks =
            self.webhooks.into_iter().map(|one| Target::Webhook { url: one.url, form: one.form, on: one.on });
        let mail = self.mail.into_iter().map(|one| {
            let way = one.smtp.map_or(MailWay::Sendmail(one.sendmail), MailWay::Smtp);
            Target::Mail(Mail { to: one.to, from: one.from, way, on: one.on })
        });
        let commands = self.commands.into_iter().map(|one| Target::Command { words: one.command, on: one.on });
        webhooks.chain(mail).chain(commands).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::read_configuration;
    use crate::notify::Target;

    const HEAD: &str = "format: 1\nkind: config\n";

    #[test]
    fn places_are_read_and_none_of_them_is_part_of_what_was_approved() {
        let text = format!(
            "{HEAD}notices:\n  webhooks: [{{url: \"https://hooks.example/secret\", form: slack, on: [quarantined, paused]}}]\n  \
             mail: [{{to: [ops@example], smtp: \"relay:25\"}}]\n  commands: [{{command: [/usr/local/bin/tell]}}]\n"
        );
        let read = read_configuration("c", &text, None).unwrap();
        assert_eq!(read.notices.len(), 3);
        assert_eq!(read.digest, read_configuration("c", HEAD, None).unwrap().digest);
        assert_eq!(read.notices.iter().map(Target::name).collect::<Vec<_>>()[0], "webhook https://hooks.example/…");
        assert!(!format!("{read:?}").contains("secret"));
    }

    #[test]
    fn a_mistake_is_told_and_no_secret_with_it() {
        for (part, wanted) in [
            ("webhooks: [{url: hooks-secret}]", "a webhook is an address"),
            ("mail: [{to: []}]", "somebody to go to"),
            ("mail: [{to: [\"a@b\\nBcc: c@d\"]}]", "is no mail address"),
            ("commands: [{command: []}]", "at least one word"),
        ] {
            let error = read_configuration("c", &format!("{HEAD}notices: {{{part}}}\n"), None).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(wanted), "{part}: {text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
