//! The known name that is most like a wrong one.

/// The nearest of `names`, when it is near enough to be meant: at most a third
/// of its letters differ.
pub(crate) fn nearest<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Nobody means a name by a kilobyte of text.
    if wrong.len() > 100 {
        return None;
    }
    let wrong = wrong.to_ascii_lowercase().replace('_', "-");
    let rated = names.into_iter().map(|name| {
        let plain = name.to_ascii_lowercase().replace('_', "-");
        (distance(&wrong, &plain), name)
    });
    let (distance, name) = rated.min()?;
    (distance * 3 <= wrong.len().max(3)).then_some(name)
}

/// Letters to change, add, leave out or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let change = last[j] + usize::from(left != right);
            let mut best = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *left == b[j - 1] && a[i - 1] == *right {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        let names = ["cores", "memory", "balloon", "full-clone", "net[n]"];
        assert_eq!(nearest("core", names), Some("cores"));
        assert_eq!(nearest("memroy", names), Some("memory"));
        assert_eq!(nearest("full_clone", names), Some("full-clone"));
        assert_eq!(nearest("zzzzzz", names), None);
        assert_eq!(nearest("x", []), None);
    }
}
