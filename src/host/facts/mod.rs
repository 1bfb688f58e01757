//! Pure parsers of what hosts print: raw sections in, [`crate::model::HostFacts`] out.
