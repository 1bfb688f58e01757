//! Text that hosts print, made fit to be shown: no escape sequences, no control characters.

/// Longest piece of a host's words that goes into a message, in characters.
const EXCERPT_MAX: usize = 400;

/// `text` without escape sequences and control characters; lines and tabs stay, every line ends with `\n` alone.
///
/// A host may be compromised or just colourful: what it says reaches terminals, journals and reports, and must not
/// move a cursor or forge a line there.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' => {
                // Universal newlines, as Python reads files: `\r\n` and a lone `\r` both end a line.
                if rest.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\n' | '\t' => out.push(c),
            '\u{1b}' => skip_escape(&mut rest),
            // The C1 twin of `ESC [`.
            '\u{9b}' => skip_control_sequence(&mut rest),
            c if c.is_control() || is_invisible(c) => {}
            c => out.push(c),
        }
    }
    without_credentials(&out)
}

/// `text` with what stands before the `@` of a URL's host masked: package managers print the URLs of repositories, some
/// with a password.
fn without_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c == '/' || c.is_whitespace() || "\"'<>".contains(c)).unwrap_or(part.len());
        let (authority, rest) = part.split_at(end);
        out.push_str("://");
        match authority.rsplit_once('@') {
            Some((_, host)) => out.extend(["***@", host]),
            None => out.push_str(authority),
        }
        out.push_str(rest);
    }
    out
}

/// One line for a message: the last lines of `text` that say something, cut to a readable length.
pub fn excerpt(text: &str) -> String {
    let clean = plain(text);
    let words: Vec<&str> = clean.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = words.join("; ");
    let count = line.chars().count();
    if count <= EXCERPT_MAX {
        return line;
    }
    // The end of an output says why it ended.
    let tail: String = line.chars().skip(count - EXCERPT_MAX).collect();
    format!("…{tail}")
}

/// Characters that are printable by class but change how their neighbours are shown: bidirectional overrides and
/// zero-width marks.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Skips what follows an ESC. ECMA-48: `[` opens a control sequence; `]`, `P`, `X`, `^`, `_` open strings that BEL or
/// ESC \ ends; anything else is one character, after intermediate ones.
fn skip_escape(rest: &mut Rest<'_>) {
    match rest.next_if(|c| !c.is_control()) {
        Some('[') => skip_control_sequence(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => {
            // An unterminated string ends with its line, so that it cannot swallow what follows.
            while let Some(c) = rest.next_if(|c| *c != '\n') {
                if c == '\u{7}' || c == '\u{9c}' || (c == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some(' '..='/') => {
            while rest.next_if(|c| (' '..='/').contains(c)).is_some() {}
            rest.next_if(|c| !c.is_control());
        }
        Some(_) | None => {}
    }
}

/// Skips parameters and intermediates up to and with the final character.
fn skip_control_sequence(rest: &mut Rest<'_>) {
    while rest.next_if(|c| (' '..='?').contains(c)).is_some() {}
    rest.next_if(|c| ('@'..='~').contains(c));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_titles_and_cursor_moves_vanish_and_words_stay() {
        assert_eq!(plain("\u{1b}[1;31merror\u{1b}[0m: no\u{1b}[2K space"), "error: no space");
        assert_eq!(plain("\u{1b}]0;title\u{7}x\u{1b}]8;;http://h\u{1b}\\link"), "xlink");
        assert_eq!(plain("\u{1b}(Bplain\u{9b}31mred\u{0}\u{8}"), "plainred");
        assert_eq!(plain("a\r\nb\rc\td"), "a\nb\nc\td");
        assert_eq!(plain("safe\u{202e}evil"), "safeevil");
    }

    #[test]
    fn a_password_in_a_url_is_masked() {
        assert_eq!(plain("https://user:p@ss@repo/x: 401, http://h/a@b"), "https://***@repo/x: 401, http://h/a@b");
        assert_eq!(plain("ftp://u@a\nnext"), "ftp://***@a\nnext");
    }

    #[test]
    fn an_unterminated_title_swallows_only_its_own_line() {
        assert_eq!(plain("\u{1b}]0;open\nnext line"), "\nnext line");
    }

    #[test]
    fn an_excerpt_is_one_line_and_keeps_the_end() {
        assert_eq!(excerpt("first\n\n  second \n"), "first; second");
        let long = format!("{}the reason", "x".repeat(1000));
        let cut = excerpt(&long);
        assert!(cut.starts_with('…') && cut.ends_with("the reason"));
        assert_eq!(cut.chars().count(), EXCERPT_MAX + 1);
    }

    proptest! {
        #[test]
        fn whatever_a_host_says_has_no_control_characters_left(text in "(?s)(\u{1b}[\\[\\]P( ]?|[\u{9b}\r\n\t]|.){0,80}") {
            let clean = plain(&text);
            prop_assert!(clean.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()), "{clean:?}");
            prop_assert_eq!(plain(&clean), clean.clone());
        }
    }
}
