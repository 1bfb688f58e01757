//! The graph as text for other tools: Graphviz DOT and Mermaid.

use std::fmt::Write;

use petgraph::visit::EdgeRef;

use super::{EdgeKind, Workflow};

/// Graphviz DOT; room edges are dashed. Source of the syntax: graphviz.org, "DOT Language".
pub fn dot(workflow: &Workflow) -> String {
    let mut out = String::from("digraph rollout {\n  rankdir=LR;\n  node [shape=box];\n");
    for step in workflow.graph.node_weights() {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {};", quoted(step.id.as_str()));
    }
    for edge in workflow.graph.edge_references() {
        let style = match edge.weight() {
            EdgeKind::Needs => "",
            EdgeKind::Room => " [style=dashed, label=room]",
        };
        let (from, to) = (&workflow.graph[edge.source()], &workflow.graph[edge.target()]);
        let _ = writeln!(out, "  {} -> {}{style};", quoted(from.id.as_str()), quoted(to.id.as_str()));
    }
    out.push_str("}\n");
    out
}

/// Mermaid flowchart; room edges are dotted. Source of the syntax: mermaid.js.org, "Flowcharts".
pub fn mermaid(workflow: &Workflow) -> String {
    let mut out = String::from("flowchart LR\n");
    for index in workflow.graph.node_indices() {
        let label = mermaid_label(workflow.graph[index].id.as_str());
        let _ = writeln!(out, "  s{}[\"{label}\"]", index.index());
    }
    for edge in workflow.graph.edge_references() {
        let arrow = match edge.weight() {
            EdgeKind::Needs => "-->",
            EdgeKind::Room => "-.->|room|",
        };
        let _ = writeln!(out, "  s{} {arrow} s{}", edge.source().index(), edge.target().index());
    }
    out
}

/// Text as it can stand between quotes in Mermaid, which reads HTML there. Source: mermaid.js.org, "Entity codes to escape
/// characters".
pub(super) fn mermaid_label(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => safe.push_str("#quot;"),
            '<' => safe.push_str("#lt;"),
            '>' => safe.push_str("#gt;"),
            '#' => safe.push_str("#35;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// A DOT string literal.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_a_dot_literal() {
        assert_eq!(quoted(r#"a"];x\"#), r#""a\"];x\\""#);
    }
}
