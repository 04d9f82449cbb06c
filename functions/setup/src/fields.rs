//! The fields of an integration that a person fills in, each with its one rule; a refusal names the field.

use domain::{Credential, Labels, PersonalAccessToken};
use edge::Problem;
use jiff::{Timestamp, civil::Date};
use secrecy::SecretString;

/// The longest description, in characters.
const LONGEST_DESCRIPTION: usize = 1_000;

/// `personalAccessToken`, as it was pasted.
pub(crate) fn credential(pasted: &SecretString) -> Result<Credential, Problem> {
    PersonalAccessToken::from_pasted(pasted)
        .map(Credential::PersonalAccessToken)
        .map_err(|error| Problem::field("personalAccessToken", &error))
}

/// `personalAccessTokenExpiresOn`: a day, `2027-05-31`, or a moment, of which the day in UTC counts.
pub(crate) fn expiry(text: &str, now: Timestamp) -> Result<Date, Problem> {
    let field = "personalAccessTokenExpiresOn";
    let moment = text.parse::<Timestamp>().map(store::keys::day_of);
    let date: Date = moment
        .or_else(|_no_moment| text.parse())
        .map_err(|_form| Problem::field(field, &"a day is written as 2027-05-31"))?;
    if date < store::keys::day_of(now) {
        return Err(Problem::field(
            field,
            &"this day is in the past: the token has expired, make a new one",
        ));
    }
    Ok(date)
}

/// `description`.
pub(crate) fn description(text: String) -> Result<String, Problem> {
    if text.chars().count() > LONGEST_DESCRIPTION {
        return Err(Problem::field(
            "description",
            &format!("a description has at most {LONGEST_DESCRIPTION} characters"),
        ));
    }
    Ok(text)
}

/// `labels`.
pub(crate) fn labels(labels: Vec<String>) -> Result<Labels, Problem> {
    Labels::try_from(labels).map_err(|error| Problem::field("labels", &error))
}
