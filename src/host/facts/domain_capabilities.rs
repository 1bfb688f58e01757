//! `virsh domcapabilities`: what libvirt says that guests can get.

use roxmltree::{Document, Node};

use crate::model::DomainCapabilities;

/// The kind of domain that is spoken of (`kvm`, `qemu`), and what it can get.
pub(super) fn parse(text: &str) -> Result<(String, DomainCapabilities), String> {
    let document = Document::parse(text.trim()).map_err(|error| format!("not XML: {error}"))?;
    let root = document.root_element();
    if !root.has_tag_name("domainCapabilities") {
        return Err(format!("`{}` is not `domainCapabilities`", root.tag_name().name()));
    }
    let kind = child(root, "domain").and_then(|domain| domain.text()).map(str::trim).unwrap_or_default();
    let cpu = child(root, "cpu").ok_or("no `cpu`: libvirt is too old to tell")?;
    let mode = |name| {
        cpu.children().find(|node| {
            node.has_tag_name("mode")
                && node.attribute("name") == Some(name)
                && node.attribute("supported") == Some("yes")
        })
    };
    let host_model = mode("host-model").into_iter().flat_map(|mode| mode.children());
    let custom = mode("custom").into_iter().flat_map(|mode| mode.children());
    let capabilities = DomainCapabilities {
        host_model: host_model
            .filter(|node| node.has_tag_name("feature"))
            .filter_map(|node| Some((node.attribute("name")?.to_owned(), node.attribute("policy")?.to_owned())))
            .collect(),
        models: custom
            .filter(|node| node.has_tag_name("model") && node.attribute("usable") == Some("yes"))
            .filter_map(|node| node.text().map(|name| name.trim().to_owned()))
            .collect(),
    };
    Ok((kind.to_owned(), capabilities))
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCG: &str = include_str!("../../../tests/fixtures/host/domcapabilities-real-libvirt9-tcg.xml");
    const KVM: &str = include_str!("../../../tests/fixtures/host/domcapabilities-real-libvirt9-kvm-pvm.xml");

    #[test]
    fn host_model_features_keep_their_policy_and_only_usable_models_are_listed() {
        let (kind, tcg) = parse(TCG).unwrap();
        assert_eq!(kind, "qemu");
        assert_eq!(tcg.host_model.get("umip").map(String::as_str), Some("require"));
        assert_eq!(tcg.host_model.get("vme").map(String::as_str), Some("disable"));
        assert!(tcg.models.contains(&"Nehalem".to_owned()));
        assert!(!tcg.models.contains(&"Nehalem-IBRS".to_owned()));
        let (kind, _) = parse(KVM).unwrap();
        assert_eq!(kind, "kvm");
    }

    #[test]
    fn an_unsupported_host_model_offers_nothing() {
        let text = "<domainCapabilities><domain>kvm</domain><cpu><mode name='host-model' supported='no'>\
                    <feature policy='require' name='md-clear'/></mode></cpu></domainCapabilities>";
        assert!(parse(text).unwrap().1.host_model.is_empty());
    }

    #[test]
    fn other_answers_are_refused() {
        assert!(parse("error: failed to connect").is_err());
        assert!(parse("<capabilities/>").unwrap_err().contains("capabilities"));
        assert!(parse("<domainCapabilities/>").is_err());
    }
}
