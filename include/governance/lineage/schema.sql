-- The outbox of lineage: every OpenLineage event as it was emitted, and whether Marquez has it.
--
-- Applied by a superuser after ledger/schema.sql (which makes the roles), in one transaction, as often as one likes.
-- `pipeline` and `review` may append, through one function, and with `auditor` they read.
-- `pipeline` and `auditor` may note what was delivered, which changes no event: lost notes cost a second delivery.
-- Nobody who logs in owns any of it, and nobody may change or delete an event.

SELECT pg_advisory_xact_lock(hashtextextended('governance lineage schema', 0));

CREATE SCHEMA IF NOT EXISTS lineage;
ALTER SCHEMA lineage OWNER TO governance_owner;

-- `id` is the SHA-256 of the event's text: the same event twice is kept once. json, not jsonb: it is sent as it came.
-- An event that is about no run (of a job or a data set alone) has none. `refusal` says why Marquez will never take it.
CREATE TABLE IF NOT EXISTS lineage.event (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           text NOT NULL UNIQUE,
    event        json NOT NULL,
    run_id       text,
    job          text,
    kind         text,
    event_time   timestamptz NOT NULL,
    writer       text NOT NULL,
    kept_at      timestamptz NOT NULL,
    delivered_at timestamptz,
    refused_at   timestamptz,
    refusal      text
);
CREATE INDEX IF NOT EXISTS event_to_deliver ON lineage.event (number)
    WHERE delivered_at IS NULL AND refused_at IS NULL;
CREATE INDEX IF NOT EXISTS event_set_aside ON lineage.event (number) WHERE refused_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_by_run ON lineage.event (run_id);
CREATE INDEX IF NOT EXISTS event_by_job ON lineage.event (job, number);

-- Which data sets an event names, copied out of it for the indexes: who asks what used one reads no other event.
CREATE TABLE IF NOT EXISTS lineage.touched (
    event     bigint NOT NULL,
    direction text NOT NULL CHECK (direction IN ('input', 'output')),
    namespace text NOT NULL,
    name      text NOT NULL,
    version   text,
    columns   bigint
);
ALTER TABLE lineage.touched ADD COLUMN IF NOT EXISTS columns bigint;
-- One index for all questions by data set: beside a shorter one, PostgreSQL would take that and read every version.
DROP INDEX IF EXISTS lineage.touched_by_dataset;
CREATE INDEX IF NOT EXISTS touched_by_side ON lineage.touched (namespace, name, version, direction, event);
CREATE INDEX IF NOT EXISTS touched_by_event ON lineage.touched (event);
CREATE INDEX IF NOT EXISTS touched_by_version ON lineage.touched (version) WHERE version IS NOT NULL;

-- Which column was made of which: what is said of columns names no version, so most runs say the same, and it is kept
-- once. `touched.columns` points here. `hidden` says that nothing of a value is left (the mask of our own pipeline).
CREATE TABLE IF NOT EXISTS lineage.columns (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest text NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS lineage.made_of (
    columns        bigint NOT NULL REFERENCES lineage.columns,
    field          text NOT NULL,
    from_namespace text NOT NULL,
    from_name      text NOT NULL,
    from_field     text NOT NULL,
    hidden         boolean NOT NULL
);
CREATE INDEX IF NOT EXISTS made_of_columns ON lineage.made_of (columns, from_namespace, from_name, from_field);
CREATE INDEX IF NOT EXISTS made_of_source ON lineage.made_of (from_namespace, from_name, from_field);

-- How data sets and their columns are marked (OpenLineage's tags), and which event said so last; of a data set as a
-- whole, `field` is empty.
CREATE TABLE IF NOT EXISTS lineage.marked (
    event     bigint NOT NULL,
    namespace text NOT NULL,
    name      text NOT NULL,
    field     text NOT NULL,
    tag       text NOT NULL,
    value     text NOT NULL,
    PRIMARY KEY (namespace, name, field, tag, value)
);

-- Return the number of what is said of a data set's columns, and keep it where it was never said before.
CREATE OR REPLACE FUNCTION lineage.columns_of(said jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    known text;
    found bigint;
BEGIN
    IF said IS NULL OR jsonb_typeof(said) <> 'object' THEN
        RETURN NULL;
    END IF;
    known := encode(sha256(convert_to(said::text, 'UTF8')), 'hex');
    SELECT id INTO found FROM lineage.columns WHERE digest = known;
    IF found IS NULL THEN
        INSERT INTO lineage.columns (digest) VALUES (known) ON CONFLICT (digest) DO NOTHING RETURNING id INTO found;
        IF found IS NULL THEN  -- another writer was first
            SELECT id INTO found FROM lineage.columns WHERE digest = known;
            RETURN found;
        END IF;
        INSERT INTO lineage.made_of (columns, field, from_namespace, from_name, from_field, hidden)
        SELECT found, f.key, i.item ->> 'namespace', i.item ->> 'name', i.item ->> 'field', coalesce(bool_and(
            t.item ->> 'description' = 'masked' AND (t.item ->> 'masking')::boolean), false)
        FROM jsonb_each(said) AS f,
            LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(f.value -> 'inputFields') = 'array'
                THEN f.value -> 'inputFields' ELSE '[]' END) AS i (item)
            LEFT JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(i.item -> 'transformations') = 'array'
                THEN i.item -> 'transformations' ELSE '[]' END) AS t (item) ON true
        GROUP BY f.key, i.item ->> 'namespace', i.item ->> 'name', i.item ->> 'field';
    END IF;
    RETURN found;
END
$function$;

-- Keep events, in this order; returns how many were not there yet. Codes: GE001 not an event.
CREATE OR REPLACE FUNCTION lineage.append(given text[]) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $function$
DECLARE
    one   text;
    about jsonb;
    added bigint;
    many  int := 0;
BEGIN
    FOREACH one IN ARRAY given LOOP
        BEGIN
            about := one::jsonb;
            IF NOT (about ->> 'eventTime')::timestamptz BETWEEN '1970-01-01' AND '9000-01-01' THEN
                RAISE EXCEPTION 'its time is %', about ->> 'eventTime' USING ERRCODE = 'data_exception';
            END IF;
            INSERT INTO lineage.event (id, event, run_id, job, kind, event_time, writer, kept_at)
            VALUES (encode(sha256(convert_to(one, 'UTF8')), 'hex'), one::json, about #>> '{run,runId}', about #>> '{job,name}',
                about ->> 'eventType', (about ->> 'eventTime')::timestamptz, session_user, clock_timestamp())
            ON CONFLICT (id) DO NOTHING RETURNING number INTO added;
            CONTINUE WHEN added IS NULL;
            INSERT INTO lineage.touched (event, direction, namespace, name, version, columns)
            SELECT DISTINCT added, side.direction, d.item ->> 'namespace', d.item ->> 'name',
                d.item #>> '{facets,version,datasetVersion}', lineage.columns_of(d.item #> '{facets,columnLineage,fields}')
            FROM (VALUES ('input', about -> 'inputs'), ('output', about -> 'outputs')) AS side (direction, items),
                LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(side.items) = 'array' THEN side.items ELSE '[]' END)
                AS d (item);
            INSERT INTO lineage.marked (event, namespace, name, field, tag, value)
            SELECT DISTINCT added, d.item ->> 'namespace', d.item ->> 'name', coalesce(t.item ->> 'field', ''),
                t.item ->> 'key', coalesce(t.item ->> 'value', 'true')
            FROM (VALUES (about -> 'inputs'), (about -> 'outputs'), (jsonb_build_array(about -> 'dataset'))) AS side (items),
                LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(side.items) = 'array' THEN side.items ELSE '[]' END)
                AS d (item),
                LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(d.item #> '{facets,tags,tags}') = 'array'
                    THEN d.item #> '{facets,tags,tags}' ELSE '[]' END) AS t (item)
            ORDER BY 2, 3, 4, 5, 6  -- all writers in one order, so that none waits for the other
            ON CONFLICT (namespace, name, field, tag, value) DO UPDATE SET event = EXCLUDED.event
                WHERE lineage.marked.event < EXCLUDED.event;
            many := many + 1;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
            RAISE EXCEPTION 'Expected an OpenLineage event, found: %.', SQLERRM USING ERRCODE = 'GE001';
        END;
    END LOOP;
    RETURN many;
END
$function$;

-- Note what became of events: delivered where `why` is null, set aside for that reason otherwise.
CREATE OR REPLACE FUNCTION lineage.settle(numbers bigint[], why text) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    UPDATE lineage.event SET
        delivered_at = CASE WHEN why IS NULL THEN clock_timestamp() END,
        refused_at = CASE WHEN why IS NOT NULL THEN clock_timestamp() END,
        refusal = why
    WHERE number = ANY (numbers);
$function$;

-- Let everything be delivered once more: to a Marquez that begins with an empty database.
CREATE OR REPLACE FUNCTION lineage.redeliver() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    many bigint;
BEGIN
    UPDATE lineage.event SET delivered_at = NULL, refused_at = NULL, refusal = NULL
    WHERE delivered_at IS NOT NULL OR refused_at IS NOT NULL;
    GET DIAGNOSTICS many = ROW_COUNT;
    RETURN many;
END
$function$;

ALTER TABLE lineage.event OWNER TO governance_owner;
ALTER TABLE lineage.touched OWNER TO governance_owner;
ALTER TABLE lineage.columns OWNER TO governance_owner;
ALTER TABLE lineage.made_of OWNER TO governance_owner;
ALTER TABLE lineage.marked OWNER TO governance_owner;
ALTER FUNCTION lineage.columns_of(jsonb) OWNER TO governance_owner;
ALTER FUNCTION lineage.append(text[]) OWNER TO governance_owner;
ALTER FUNCTION lineage.settle(bigint[], text) OWNER TO governance_owner;
ALTER FUNCTION lineage.redeliver() OWNER TO governance_owner;

REVOKE ALL ON SCHEMA lineage FROM PUBLIC, pipeline, review, serving, auditor, witness;
REVOKE ALL ON ALL TABLES IN SCHEMA lineage FROM PUBLIC, pipeline, review, serving, auditor, witness;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA lineage FROM PUBLIC, pipeline, review, serving, auditor, witness;
GRANT USAGE ON SCHEMA lineage TO pipeline, review, auditor;
GRANT SELECT ON lineage.event, lineage.touched, lineage.columns, lineage.made_of, lineage.marked TO pipeline, review, auditor;
GRANT EXECUTE ON FUNCTION lineage.append(text[]) TO pipeline, review;
GRANT EXECUTE ON FUNCTION lineage.settle(bigint[], text), lineage.redeliver() TO pipeline, auditor;
