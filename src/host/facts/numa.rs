//! NUMA cells: `/sys/devices/system/node`.

use std::collections::BTreeMap;

use crate::model::NumaCell;

/// Lines `NODE cpus LIST`, `NODE memory KIB` and `NODE pages SIZE_KIB COUNT`; other lines say nothing.
pub(super) fn parse(text: &str) -> Result<Vec<NumaCell>, String> {
    let mut cells: BTreeMap<u64, NumaCell> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse::<u64>().map_err(|_| format!("`{line}` is not of a NUMA cell"));
        match words[..] {
            [node, "cpus", list] => cells.entry(number(node)?).or_default().cpus = cpus(list)?,
            [node, "memory", kib] => cells.entry(number(node)?).or_default().memory_mb = number(kib)? / 1024,
            [node, "pages", size, count] => {
                let (size, count) = (number(size)?, number(count)?);
                if count > 0 {
                    cells.entry(number(node)?).or_default().huge_pages.insert(size, count);
                }
            }
            _ => {}
        }
    }
    Ok(cells.into_values().collect())
}

/// How many processors a list such as `0-3,8` has.
fn cpus(list: &str) -> Result<u64, String> {
    let bad = || format!("`{list}` is not a list of processors");
    let mut count = 0_u64;
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
        count = count.saturating_add(last.checked_sub(first).ok_or_else(bad)?.saturating_add(1));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_processors_memory_and_huge_pages() {
        let text =
            "0 cpus 0-3,8-11\n0 memory 16777216\n0 pages 2048 512\n0 pages 1048576 0\n1 cpus 4-7\n1 memory 1024\n";
        let cells = parse(text).unwrap();
        assert_eq!((cells[0].cpus, cells[0].memory_mb, cells[0].huge_pages.clone()), (8, 16_384, [(2048, 512)].into()));
        assert_eq!((cells[1].cpus, cells[1].memory_mb), (4, 1));
        assert!(parse("0 cpus 3-1").is_err() && parse("x memory 1").is_err());
    }
}
