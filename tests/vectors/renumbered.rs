//! The additions of `standard`, for which there are no vectors of their own: Quartz vectors whose weekdays
//! are renumbered mean the same there.

use cronwright::spec::trigger::{CronExpr, CronTrigger, Dialect};
use cronwright::time::Zone;

use super::Vector;
use super::library::compare;

pub(super) fn check(vector: &Vector) -> Result<(), String> {
    let text = renumbered(vector.text("expr"));
    let zone = Zone::load(vector.text("tz")).map_err(|error| error.to_string())?;
    let expr = CronExpr::parse(&text, Dialect::Standard)
        .map_err(|error| format!("{text} as standard: {error}"))?;
    let trigger = CronTrigger::new(expr, zone.clone());
    compare(vector, &zone, |after| trigger.next_after(after))
        .map_err(|wrong| format!("as standard {text}: {wrong}"))
}

/// A Quartz expression with the weekday numbers of `standard`.
fn renumbered(text: &str) -> String {
    let mut fields: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if let Some(weekday) = fields.get_mut(5) {
        *weekday = weekday.split(',').map(renumbered_item).collect::<Vec<_>>().join(",");
    }
    fields.join(" ")
}

fn renumbered_item(item: &str) -> String {
    if item.eq_ignore_ascii_case("L") {
        // Alone it is every Saturday in Quartz, and an error in `standard`.
        return "sat".to_owned();
    }
    let (days, step) = match item.split_once('/') {
        Some((days, step)) => (days, Some(step)),
        None => (item, None),
    };
    let (days, nth) = match days.split_once('#') {
        Some((day, nth)) => (day, format!("#{nth}")),
        None => (days, String::new()),
    };
    let bounds: Vec<String> = days.split('-').map(renumbered_day).collect();
    match (&bounds[..], step) {
        // An open step ends with Saturday in Quartz, where Sunday is the first day.
        ([first], Some(step)) if first == "*" => format!("0-6/{step}"),
        ([first], Some(step)) => format!("{first}-6/{step}"),
        (_, Some(step)) => format!("{}/{step}", bounds.join("-")),
        (_, None) => bounds.join("-") + &nth,
    }
}

/// `1` is Sunday, which is 0; `6L` is the last Friday; names stay.
fn renumbered_day(day: &str) -> String {
    let (number, last) = match day.strip_suffix(['L', 'l']) {
        Some(number) => (number, "L"),
        None => (day, ""),
    };
    match number.parse::<u32>() {
        Ok(number) => format!("{}{last}", number - 1),
        Err(_) => day.to_owned(),
    }
}
