//! The tables, in steps that only go forward. Each step is carried out once, in one transaction with its number.

use tokio_postgres::Client;

use super::Failure;
use crate::journal::JournalError;

/// Every step there ever was, in order: a released one is never changed. A version that writes what earlier ones do not
/// understand adds a step, be it an empty one: that is what makes them refuse the journal.
const STEPS: [&str; 2] = [
    "
    CREATE TABLE fleetmend.runs (
        run uuid PRIMARY KEY, region text NOT NULL, digest text NOT NULL, created text NOT NULL,
        rollout text NOT NULL, snapshot text NOT NULL
    );
    CREATE TABLE fleetmend.events (
        run uuid NOT NULL REFERENCES fleetmend.runs, seq bigint NOT NULL, body text NOT NULL, PRIMARY KEY (run, seq)
    );
    CREATE TABLE fleetmend.heartbeats (run uuid PRIMARY KEY REFERENCES fleetmend.runs, body text NOT NULL);
    CREATE TABLE fleetmend.requests (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run uuid NOT NULL REFERENCES fleetmend.runs,
        body text NOT NULL, taken boolean NOT NULL DEFAULT false
    );
    CREATE INDEX ON fleetmend.requests (run) WHERE NOT taken;
    -- The one writer of each region. Each taking has an id of its own; the number only tells people how often it changed hands.
    CREATE TABLE fleetmend.leases (
        region text PRIMARY KEY, holder text NOT NULL, taking uuid NOT NULL, number bigint NOT NULL, until timestamptz NOT NULL
    );
",
    "
    ALTER TABLE fleetmend.events ADD COLUMN digest text;
    ALTER TABLE fleetmend.runs ADD COLUMN arriving boolean NOT NULL DEFAULT false, ADD COLUMN moved_to text;
    CREATE TABLE fleetmend.snapshots (
        run uuid PRIMARY KEY REFERENCES fleetmend.runs, seq bigint NOT NULL, digest text NOT NULL, made_by text NOT NULL,
        body text NOT NULL
    );
    -- Numbers of leases of one database compare with each other alone.
    CREATE TABLE fleetmend.space (id uuid NOT NULL);
    INSERT INTO fleetmend.space VALUES (gen_random_uuid());
",
];

/// The newest format that is known.
#[expect(clippy::cast_possible_wrap, reason = "there will never be so many steps")]
pub(super) const FORMAT: i64 = STEPS.len() as i64;

/// "flmd": two processes that open an empty database at once make its tables one after the other.
const LOCK: i64 = 0x666c_6d64;

/// Looks at the tables; makes or brings forward those of a journal that is `ours` to make. `false` when there are none.
pub(super) async fn prepare(client: &mut Client, place: &str, make: bool) -> Result<bool, Failure> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let found = transaction
        .query_one("SELECT to_regnamespace('fleetmend') IS NOT NULL, to_regclass('fleetmend.format') IS NOT NULL", &[])
        .await?;
    let (has_schema, has_format): (bool, bool) = (found.get(0), found.get(1));
    let format: i64 = match (has_schema, has_format) {
        (true, true) => transaction.query_one("SELECT max(step) FROM fleetmend.format", &[]).await?.get(0),
        (true, false) => return Err(JournalError::Foreign { place: place.to_owned() }.into()),
        (false, _) if !make => return Ok(false),
        (false, _) => {
            transaction
                .batch_execute("CREATE SCHEMA fleetmend; CREATE TABLE fleetmend.format (step bigint PRIMARY KEY)")
                .await?;
            0
        }
    };
    if format > FORMAT {
        return Err(JournalError::Newer { place: place.to_owned(), found: format, known: FORMAT }.into());
    }
    for (number, step) in (1_i64..).zip(STEPS).skip_while(|(number, _)| *number <= format) {
        transaction.batch_execute(step).await?;
        transaction.execute("INSERT INTO fleetmend.format (step) VALUES ($1)", &[&number]).await?;
    }
    transaction.commit().await?;
    Ok(true)
}
