//! Columns side by side, as wide as what is in them.

use serde_json::Value;

/// Rows below a head.
pub(in super::super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(in super::super) fn new(heads: &[&str]) -> Self {
        let head = heads.iter().map(|head| (*head).to_owned());
        Table {
            rows: vec![head.collect()],
        }
    }

    pub(in super::super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The last column is not filled up, so that no line ends in spaces.
    pub(in super::super) fn render(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// A list, or none.
pub(in super::super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A value without quotes; `-` where there is none. What would break a line or move the cursor
/// is shown as an escape.
pub(in super::super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.chars().any(char::is_control) => {
            text.escape_debug().to_string()
        }
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
