//! Tables of text for terminals of any width.

use unicode_width::UnicodeWidthStr as _;

use super::text::{markdown_cell, printable};

/// Which way a column's cells lean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lean {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table: columns as wide as their widest cell, two spaces between them, no rules.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Lean)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(columns: &[(&'static str, Lean)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. Cells may hold what strangers wrote: they are made safe here.
    pub fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| printable(cell.as_ref()).into_owned()).collect());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, each indented by `indent` spaces; nothing when there is no row.
    pub fn render(&self, indent: usize, heading: impl Fn(&str) -> String) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.width(column)).collect();
        let names: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut text = heading(&self.line(&names, &widths, indent));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(row, &widths, indent));
            text.push('\n');
        }
        text
    }

    /// The same as a Markdown table.
    pub fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = String>| format!("|{}|\n", cells.collect::<Vec<_>>().join("|"));
        let mut text = line(&mut self.columns.iter().map(|(name, _)| format!(" {name} ")));
        text.push_str(&line(&mut self.columns.iter().map(|(_, lean)| match lean {
            Lean::Left => "---".to_owned(),
            Lean::Right => "--:".to_owned(),
        })));
        for row in &self.rows {
            text.push_str(&line(&mut row.iter().map(|cell| format!(" {} ", markdown_cell(cell)))));
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width());
        cells.chain([self.columns[column].0.width()]).max().unwrap_or(0)
    }

    fn line(&self, cells: &[String], widths: &[usize], indent: usize) -> String {
        let mut line = " ".repeat(indent);
        for (index, ((cell, width), (_, lean))) in cells.iter().zip(widths).zip(&self.columns).enumerate() {
            if index > 0 {
                line.push_str("  ");
            }
            let gap = " ".repeat(width.saturating_sub(cell.width()));
            match lean {
                Lean::Left => line.extend([cell.as_str(), &gap]),
                Lean::Right => line.extend([gap.as_str(), cell]),
            }
        }
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_also_under_wide_and_hostile_names() {
        let mut table = Table::new(&[("host", Lean::Left), ("moves", Lean::Right), ("why", Lean::Left)]);
        table.row(["compute-1", "7", "データ"]);
        table.row(["データ", "12", "a\nb"]);
        insta::assert_snapshot!(table.render(2, str::to_owned), @r"
        host       moves  why
        compute-1      7  データ
        データ        12  a\u{a}b
        ");
    }
}
