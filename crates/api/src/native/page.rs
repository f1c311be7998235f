//! Pages of lists.

use client::wire;
use http::{HeaderName, HeaderValue, Uri, header};
use model::Error;

/// The number of rows that a list asks for.
pub(super) fn limit(asked: Option<u32>) -> Result<usize, Error> {
    let Some(asked) = asked else { return Ok(wire::LIST_DEFAULT) };
    let asked = usize::try_from(asked).unwrap_or(usize::MAX);
    if (1..=wire::LIST_MOST).contains(&asked) {
        return Ok(asked);
    }
    Err(Error::invalid("limit", format!("expected 1 to {}, got {asked}", wire::LIST_MOST)))
}

/// Refuses a place in the order of changes that no data base counts to.
pub(super) fn check_sequence(field: &str, sequence: u64) -> Result<(), Error> {
    match i64::try_from(sequence) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::invalid(field, format!("expected at most {}", i64::MAX))),
    }
}

/// Takes the row that only shows that there is another page off a list of
/// `limit + 1`, and answers the cursor of that page.
pub(super) fn cut<T, C>(rows: &mut Vec<T>, limit: usize, cursor: impl Fn(&T) -> C) -> Option<C> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| more).map(cursor)
}

/// The header that leads to the next page (RFC 8288).
pub(super) fn link(
    uri: &Uri,
    next: Option<&impl std::fmt::Display>,
) -> Option<[(HeaderName, HeaderValue); 1]> {
    let next = next?;
    let query = uri.query().unwrap_or_default();
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
    let after = format!("after={next}");
    let query: Vec<&str> = kept.chain([after.as_str()]).collect();
    let value = format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"));
    Some([(header::LINK, HeaderValue::try_from(value).ok()?)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_next_page_is_the_same_list_after_its_cursor() {
        let uri: Uri = "/v1/things?limit=2&after=1&tag=a".parse().unwrap();
        let [(_, value)] = link(&uri, Some(&"2")).unwrap();
        assert_eq!(value, "</v1/things?limit=2&tag=a&after=2>; rel=\"next\"");
        assert!(link(&uri, None::<&String>).is_none());
    }

    #[test]
    fn the_row_beyond_the_page_is_not_shown() {
        let mut rows = vec![1, 2, 3];
        assert_eq!(cut(&mut rows, 2, |row| *row), Some(2));
        assert_eq!(rows, [1, 2]);
        assert_eq!(cut(&mut rows, 2, |row| *row), None);
    }
}
