//! Processors of the guests that run: of each a line `= UUID SECONDS` and the `cpu` element of its live definition.

use std::collections::BTreeMap;

use roxmltree::Document;

use crate::model::{GuestCpu, InstanceId};

/// What was read.
pub(super) struct Read {
    pub(super) guests: BTreeMap<InstanceId, GuestCpu>,
    /// Domains that could not be read; they may have ended in between.
    pub(super) refused: Vec<String>,
}

pub(super) fn parse(text: &str) -> Result<Read, String> {
    let mut read = Read { guests: BTreeMap::new(), refused: Vec::new() };
    let mut open: Option<(InstanceId, Option<u64>, String)> = None;
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("= ") {
            read.close(open.take())?;
            let (id, seconds) = head.split_once(' ').ok_or_else(|| format!("`{line}` is no head of a guest"))?;
            open = Some((id_of(id)?, seconds.parse().ok(), String::new()));
        } else if let Some(id) = line.strip_prefix("! ") {
            read.close(open.take())?;
            read.refused.push(id.to_owned());
        } else if let Some((_, _, xml)) = &mut open {
            xml.push_str(line);
            xml.push('\n');
        } else if !line.trim().is_empty() {
            return Err(format!("`{line}` belongs to no guest"));
        }
    }
    read.close(open)?;
    Ok(read)
}

impl Read {
    /// Takes a guest whose lines have ended. A domain without a processor in its definition says nothing.
    fn close(&mut self, guest: Option<(InstanceId, Option<u64>, String)>) -> Result<(), String> {
        let Some((id, runs_s, xml)) = guest else { return Ok(()) };
        if xml.trim().is_empty() {
            self.guests.insert(id, GuestCpu { runs_s, ..GuestCpu::default() });
            return Ok(());
        }
        let document =
            Document::parse(xml.trim()).map_err(|error| format!("the processor of {id} is no XML: {error}"))?;
        let cpu = document.root_element();
        let children = || cpu.children().filter(roxmltree::Node::is_element);
        let features = children().filter(|node| node.has_tag_name("feature"));
        let guest = GuestCpu {
            mode: cpu.attribute("mode").unwrap_or("custom").to_owned(),
            model: children().find(|node| node.has_tag_name("model")).and_then(|node| node.text()).map(str::to_owned),
            // Source: libvirt's formatdomain: without a policy a feature is required.
            features: features
                .filter_map(|node| {
                    let policy = node.attribute("policy").unwrap_or("require");
                    Some((node.attribute("name")?.to_owned(), policy.to_owned()))
                })
                .collect(),
            runs_s,
        };
        self.guests.insert(id, guest);
        Ok(())
    }
}

fn id_of(text: &str) -> Result<InstanceId, String> {
    text.parse().map_err(|_| format!("`{text}` is not a domain's id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guest_has_its_model_its_features_and_its_age() {
        let text = "= 6d1f0000-0000-4000-8000-000000000001 42\n  <cpu mode='custom' match='exact' check='full'>\n    \
                    <model fallback='forbid'>Nehalem</model>\n    <feature policy='disable' name='md-clear'/>\n  </cpu>\n\
                    ! 6d1f0000-0000-4000-8000-000000000002\n= 6d1f0000-0000-4000-8000-000000000003 -\n  \
                    <cpu mode='host-passthrough' check='none' migratable='on'/>\n\
                    = 6d1f0000-0000-4000-8000-000000000004 7\n";
        let read = parse(text).unwrap();
        let of = |n: u128| {
            &read.guests[&InstanceId::new(uuid::Uuid::from_u128(0x6d1f_0000_0000_4000_8000_0000_0000_0000 + n))]
        };
        assert_eq!((of(1).mode.as_str(), of(1).model.as_deref(), of(1).runs_s), ("custom", Some("Nehalem"), Some(42)));
        assert_eq!(of(1).features["md-clear"], "disable");
        assert_eq!((of(3).mode.as_str(), of(3).runs_s), ("host-passthrough", None));
        assert_eq!((of(4).mode.as_str(), of(4).runs_s), ("", Some(7)));
        assert_eq!(read.refused, ["6d1f0000-0000-4000-8000-000000000002"]);
    }

    #[test]
    fn what_is_no_such_list_is_refused() {
        assert!(parse("error: failed to connect\n").is_err());
        assert!(parse("= x 1\n").is_err());
        assert!(parse("= 6d1f0000-0000-4000-8000-000000000001 1\n<cpu\n").is_err());
        assert!(parse("").unwrap().guests.is_empty());
    }
}
