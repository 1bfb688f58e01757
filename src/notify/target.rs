//! Where notices go.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::notice::Occasion;

/// A place that notices go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address that takes JSON by POST.
    Webhook {
        /// Where.
        url: WebhookUrl,
        /// What it understands.
        form: Form,
        /// What it is told; everything when empty.
        on: Vec<Occasion>,
    },
    /// People's mailboxes.
    Mail(Mail),
    /// A program of this machine, with JSON on its standard input.
    Command {
        /// Program and arguments.
        words: Vec<String>,
        /// What it is told; everything when empty.
        on: Vec<Occasion>,
    },
}

/// Mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Who gets it.
    pub to: Vec<String>,
    /// Who it is from.
    pub from: String,
    /// How it is sent.
    pub way: MailWay,
    /// What they are told; everything when empty.
    pub on: Vec<Occasion>,
}

/// How mail is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailWay {
    /// `sendmail -t -i`, or what is called so.
    Sendmail(PathBuf),
    /// A relay of this network, without encryption and without a password: `host:port`.
    Smtp(String),
}

/// What a webhook understands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// All that is known, as JSON of our own.
    #[default]
    Generic,
    /// Slack, Mattermost and what imitates them.
    Slack,
    /// Microsoft Teams: an adaptive card.
    Teams,
}

/// The address of a webhook. Whoever has it may write there: it is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(pub Url);

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for WebhookUrl {
    /// Its host only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/…", self.0.scheme(), self.0.host_str().unwrap_or("?"))
    }
}

impl Target {
    /// Whether it is told of that.
    pub fn hears(&self, occasion: Occasion) -> bool {
        let on = match self {
            Self::Webhook { on, .. } | Self::Command { on, .. } => on,
            Self::Mail(mail) => &mail.on,
        };
        on.is_empty() || on.contains(&occasion)
    }

    /// What it is called in messages, without secrets.
    pub fn name(&self) -> String {
        match self {
            Self::Webhook { url, .. } => format!("webhook {url}"),
            Self::Mail(mail) => format!("mail to {}", mail.to.join(", ")),
            Self::Command { words, .. } => format!("command {}", words.first().map_or("", String::as_str)),
        }
    }
}
