//! The numbers: totals, means and a median, by hour, weekday and kind of post.
//!
//! Pure. Reading posts and drawing are left to others.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::mean::mean;

/// What kind of post it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Neither of the others.
    Original,
    /// Begins with `@`.
    Reply,
    /// Begins with `RT @`.
    Retweet,
}

/// A number of posts and the sum of their engagement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many posts.
    pub posts: u64,
    /// Replies, retweets and favourites of all of them.
    pub engagement: u128,
}

impl Sum {
    fn add(&mut self, engagement: u128) {
        self.posts += 1;
        self.engagement += engagement;
    }

    /// Engagement per post.
    pub fn mean(&self) -> f64 {
        mean(self.engagement, self.posts)
    }
}

/// A group of posts in the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// How many posts.
    pub posts: u64,
    /// Engagement per post; 0 for no posts.
    pub mean: f64,
}

impl From<Sum> for Group {
    fn from(sum: Sum) -> Self {
        Self {
            posts: sum.posts,
            mean: sum.mean(),
        }
    }
}

/// What `result.json` says.
#[derive(Debug, Serialize)]
pub struct EngagementResult {
    /// How many posts.
    pub posts: u64,
    /// Replies, retweets and favourites of all posts.
    pub total_engagement: u128,
    /// Engagement per post.
    pub mean_engagement: f64,
    /// The middle engagement, or the mean of the two middle ones.
    pub median_engagement: f64,
    /// Hours 0 to 23 of the time zone.
    pub by_hour: Vec<Group>,
    /// Monday to Sunday in the time zone.
    pub by_weekday: Vec<Group>,
    /// Every kind, also one without posts.
    pub by_kind: BTreeMap<Kind, Group>,
}

/// The sums of the week, `[weekday][hour]`, Monday first.
pub type Cells = [[Sum; 24]; 7];

/// Takes posts one by one.
pub struct Measure {
    zone: TimeZone,
    cells: Cells,
    kinds: BTreeMap<Kind, Sum>,
    all: Vec<u128>,
}

impl Measure {
    /// Nothing counted yet; hours and weekdays will be those of `zone`.
    pub fn new(zone: TimeZone) -> Self {
        let kinds = [Kind::Original, Kind::Reply, Kind::Retweet];
        Self {
            zone,
            cells: Cells::default(),
            kinds: kinds.map(|kind| (kind, Sum::default())).into(),
            all: Vec::new(),
        }
    }

    /// Counts a post; `created_at` is in UTC.
    pub fn add(&mut self, created_at: DateTime, kind: Kind, engagement: u128) {
        let (weekday, hour) = local_hour(&self.zone, created_at);
        self.cells[weekday][hour].add(engagement);
        self.kinds.entry(kind).or_default().add(engagement);
        self.all.push(engagement);
    }

    /// The sums by weekday and hour.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// The numbers of all posts counted.
    pub fn result(mut self) -> EngagementResult {
        self.all.sort_unstable();
        let total = total_of(self.kinds.values().copied());
        let hours = (0..24).map(|hour| total_of(self.cells.iter().map(|day| day[hour])));
        let weekdays = self.cells.iter().map(|day| total_of(day.iter().copied()));
        EngagementResult {
            posts: total.posts,
            total_engagement: total.engagement,
            mean_engagement: total.mean(),
            median_engagement: median(&self.all),
            by_hour: hours.map(Group::from).collect(),
            by_weekday: weekdays.map(Group::from).collect(),
            by_kind: self
                .kinds
                .into_iter()
                .map(|(kind, sum)| (kind, sum.into()))
                .collect(),
        }
    }
}

/// Weekday (Monday 0) and hour in the zone. By arithmetic within the week, so
/// that the first and the last day of the calendar have local times too.
fn local_hour(zone: &TimeZone, utc: DateTime) -> (usize, usize) {
    const HOURS_PER_WEEK: i64 = 7 * 24;
    let instant = match utc.to_zoned(TimeZone::UTC) {
        Ok(zoned) => zoned.timestamp(),
        Err(_) if utc.year() > 0 => Timestamp::MAX,
        Err(_) => Timestamp::MIN,
    };
    let hours = i64::from(utc.weekday().to_monday_zero_offset()) * 24 + i64::from(utc.hour());
    let seconds = hours * 3600 + i64::from(utc.minute()) * 60 + i64::from(utc.second());
    let local = seconds + i64::from(zone.to_offset(instant).seconds());
    let hour = local
        .div_euclid(3600)
        .rem_euclid(HOURS_PER_WEEK)
        .unsigned_abs() as usize;
    (hour / 24, hour % 24)
}

fn total_of(sums: impl Iterator<Item = Sum>) -> Sum {
    sums.fold(Sum::default(), |a, b| Sum {
        posts: a.posts + b.posts,
        engagement: a.engagement + b.engagement,
    })
}

/// The median of sorted values; 0 for none.
fn median(sorted: &[u128]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => mean(sorted[middle], 1),
        _ => mean(sorted[middle - 1] + sorted[middle], 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(zone: &str, posts: &[(&str, Kind, u128)]) -> EngagementResult {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
        let mut measure = Measure::new(zone);
        for (time, kind, engagement) in posts {
            measure.add(time.parse().unwrap(), *kind, *engagement);
        }
        measure.result()
    }

    #[test]
    fn nothing_gives_zeros_and_every_group() {
        let result = result("UTC", &[]);
        assert_eq!((result.posts, result.total_engagement), (0, 0));
        assert_eq!(
            (result.mean_engagement, result.median_engagement),
            (0.0, 0.0)
        );
        assert_eq!(
            (
                result.by_hour.len(),
                result.by_weekday.len(),
                result.by_kind.len()
            ),
            (24, 7, 3)
        );
    }

    #[test]
    fn hours_and_weekdays_are_those_of_the_zone() {
        // Sunday 23:30 UTC is Monday 01:30 in Prague in summer.
        let posts = [("2017-10-01T23:30:00", Kind::Original, 5)];
        let there = result("Europe/Prague", &posts);
        assert_eq!((there.by_weekday[0].posts, there.by_hour[1].posts), (1, 1));
        let here = result("UTC", &posts);
        assert_eq!((here.by_weekday[6].posts, here.by_hour[23].posts), (1, 1));
        // And winter time is one hour less.
        let winter = result("Europe/Prague", &[("2017-11-01T23:30:00", Kind::Reply, 1)]);
        assert_eq!(
            (winter.by_weekday[3].posts, winter.by_hour[0].posts),
            (1, 1)
        );
    }

    #[test]
    fn the_ends_of_the_calendar() {
        let last = [("9999-12-31T23:59:59", Kind::Original, 1)];
        let there = result("Pacific/Kiritimati", &last);
        assert_eq!((there.by_weekday[5].posts, there.by_hour[13].posts), (1, 1));
        let first = result(
            "America/New_York",
            &[("0001-01-01T00:00:00", Kind::Original, 1)],
        );
        assert_eq!((first.by_weekday[6].posts, first.by_hour[19].posts), (1, 1));
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[3]), 3.0);
        assert_eq!(median(&[1, 2]), 1.5);
        assert_eq!(median(&[1, 6, 6, 15]), 6.0);
        assert_eq!(
            median(&[u128::from(u64::MAX); 2]),
            18_446_744_073_709_551_615.0
        );
    }
}
