//! A letter, and the few words of SMTP that hand it to a relay.
//!
//! Source: RFC 5322 (headers), RFC 5321 (dialogue; section 4.5.2, lines that begin with a dot).

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::target::Mail;

/// Longest line of an answer that is read.
const ANSWER_MAX: usize = 2048;

/// A letter with CR LF at the end of each line. No text of others can add a header or a recipient.
pub(super) fn letter(mail: &Mail, subject: &str, body: &str) -> String {
    let line = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(200).collect()
    };
    let body: Vec<String> = body.lines().map(|line| line.chars().filter(|c| !c.is_control()).collect()).collect();
    format!(
        "From: {}\r\nTo: {}\r\nSubject: {}\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}\r\n",
        line(&mail.from),
        line(&mail.to.join(", ")),
        line(subject),
        body.join("\r\n"),
    )
}

/// Hands a letter to a relay.
pub(super) async fn smtp(relay: &str, mail: &Mail, letter: &str) -> Result<(), String> {
    let stream = TcpStream::connect(relay).await.map_err(|error| format!("cannot reach {relay}: {error}"))?;
    let mut relay = BufReader::new(stream);
    expect(&mut relay, "", '2').await?;
    expect(&mut relay, "EHLO localhost\r\n", '2').await?;
    expect(&mut relay, &format!("MAIL FROM:<{}>\r\n", bare(&mail.from)), '2').await?;
    for to in &mail.to {
        expect(&mut relay, &format!("RCPT TO:<{}>\r\n", bare(to)), '2').await?;
    }
    expect(&mut relay, "DATA\r\n", '3').await?;
    let stuffed: String = letter
        .split_inclusive("\r\n")
        .map(|line| if line.starts_with('.') { format!(".{line}") } else { line.to_owned() })
        .collect();
    expect(&mut relay, &format!("{stuffed}.\r\n"), '2').await?;
    // The letter is taken: what the relay says to the farewell matters no more.
    let _ = expect(&mut relay, "QUIT\r\n", '2').await;
    Ok(())
}

/// The address without a name around it, and without anything that would end the line.
fn bare(address: &str) -> String {
    let inner = address.rsplit_once('<').map_or(address, |(_, rest)| rest.trim_end_matches('>'));
    inner.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>')).collect()
}

async fn expect(relay: &mut BufReader<TcpStream>, say: &str, wanted: char) -> Result<(), String> {
    let broken = |error: std::io::Error| format!("the relay broke off: {error}");
    relay.get_mut().write_all(say.as_bytes()).await.map_err(broken)?;
    loop {
        let mut line = String::new();
        let read = relay.read_line(&mut line).await.map_err(broken)?;
        if read == 0 || read > ANSWER_MAX {
            return Err("the relay broke off".to_owned());
        }
        // More lines follow where a hyphen stands behind the number.
        if line.as_bytes().get(3) == Some(&b'-') {
            continue;
        }
        return if line.starts_with(wanted) { Ok(()) } else { Err(format!("the relay said: {}", line.trim_end())) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::MailWay;

    #[test]
    fn no_name_of_a_stranger_adds_a_header_or_ends_the_letter() {
        let mail = Mail {
            to: vec!["ops@example".to_owned()],
            from: "Fleetmend <fleetmend@example>".to_owned(),
            way: MailWay::Smtp(String::new()),
            on: Vec::new(),
        };
        let letter = letter(&mail, "a\r\nBcc: evil@example", "b\r\n.\r\nQUIT");
        let (head, _) = letter.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert_eq!(bare(&mail.from), "fleetmend@example");
        assert_eq!(bare("a@b>\r\nRCPT TO:<evil@example"), "evil@example");
    }
}
