-- The prediction log: what production was asked and answered, what came true later, and protected attributes apart.
--
-- Applied by a superuser after ledger/schema.sql (which makes the roles), in one transaction, as often as one likes.
-- `serving` may call the three functions that write, and read nothing; `pipeline` reads, writes labels and lets old rows
-- go; `auditor` reads. Nobody who logs in owns any of it, and nobody may change or delete a row but by retention.
--
-- What this does not stop is a superuser: what one changes is found by verify.py, against digests in the ledger.

SELECT pg_advisory_xact_lock(hashtextextended('governance predictions schema', 0));

CREATE SCHEMA IF NOT EXISTS predictions;
ALTER SCHEMA predictions OWNER TO governance_owner;

-- One segment is what arrived together: rows that one version of one model predicted, in one process. `header` is the
-- text that is hashed before the rows; the columns after it are copied out of it, and compared with it by verify.py.
CREATE TABLE IF NOT EXISTS predictions.segment (
    number           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               text NOT NULL UNIQUE,
    header           text NOT NULL,
    model            text NOT NULL,
    version          text NOT NULL,
    registry_version int NOT NULL,
    evidence         text NOT NULL,
    digest           text NOT NULL,
    rows             int NOT NULL,
    first_at         timestamptz NOT NULL,
    last_at          timestamptz NOT NULL,
    logged_at        timestamptz NOT NULL,
    retired_at       timestamptz
);
CREATE INDEX IF NOT EXISTS segment_by_model ON predictions.segment (model, last_at);

-- json, not jsonb: the text is hashed, so it is kept as it was written.
CREATE TABLE IF NOT EXISTS predictions.prediction (
    segment    bigint NOT NULL,
    line       int NOT NULL,
    at         timestamptz NOT NULL,
    row        int NOT NULL,
    model      text NOT NULL,
    request_id text NOT NULL,
    caller     text NOT NULL,
    features   json NOT NULL,
    prediction json NOT NULL,
    scores     json NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX IF NOT EXISTS prediction_by_time ON predictions.prediction (model, at);
CREATE INDEX IF NOT EXISTS prediction_by_request ON predictions.prediction (request_id);

-- Append-only: a correction is a further row. The newest that had arrived counts.
CREATE TABLE IF NOT EXISTS predictions.label (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model      text NOT NULL,
    request_id text NOT NULL,
    row        int NOT NULL,
    label      json NOT NULL,
    arrived_at timestamptz NOT NULL,
    source     text NOT NULL
);
CREATE INDEX IF NOT EXISTS label_by_request ON predictions.label (model, request_id, row, id);
CREATE INDEX IF NOT EXISTS label_by_arrival ON predictions.label (model, arrived_at);

CREATE TABLE IF NOT EXISTS predictions.protected (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model      text NOT NULL,
    request_id text NOT NULL,
    row        int NOT NULL,
    values     jsonb NOT NULL,
    arrived_at timestamptz NOT NULL,
    source     text NOT NULL
);
CREATE INDEX IF NOT EXISTS protected_by_request ON predictions.protected (model, request_id, row, id);
CREATE INDEX IF NOT EXISTS protected_by_arrival ON predictions.protected (model, arrived_at);

-- Requests that were refused for their content, a line for each kind of fault in a few seconds: which version was asked,
-- what was wrong, at which feature of the signed spec. Nothing that a caller sent. `segment` names the file it came by.
CREATE TABLE IF NOT EXISTS predictions.refusal (
    segment   text NOT NULL,
    fault     text NOT NULL,
    feature   text NOT NULL,
    at        timestamptz NOT NULL,
    model     text NOT NULL,
    evidence  text NOT NULL,
    requests  bigint NOT NULL,
    rows      bigint NOT NULL,
    logged_at timestamptz NOT NULL,
    PRIMARY KEY (segment, fault, feature)
);
CREATE INDEX IF NOT EXISTS refusal_by_time ON predictions.refusal (model, at);

-- Every writer holds this lock shared until it commits, and takes the time while holding it. So whoever has held it
-- alone has before him everything whose time lies before that: a cut-off gives the same rows today and in a year.
CREATE OR REPLACE FUNCTION predictions.arrival() RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(5120160324181201);
    RETURN clock_timestamp();
END
$function$;

CREATE OR REPLACE FUNCTION predictions.settle() RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '60s'
AS $function$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    PERFORM pg_advisory_xact_lock(5120160324181201);
    RETURN moment;
END
$function$;

-- Attached rather than created in place: that waits for no reader.
CREATE OR REPLACE FUNCTION predictions.ensure_day(given date) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    name text := 'day_' || to_char(given, 'YYYYMMDD');
BEGIN
    IF to_regclass('predictions.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(5120160324181202);
    IF to_regclass('predictions.' || name) IS NULL THEN
        EXECUTE format('CREATE TABLE predictions.%I (LIKE predictions.prediction)', name);
        EXECUTE format('ALTER TABLE predictions.prediction ATTACH PARTITION predictions.%I FOR VALUES FROM (%L) TO (%L)',
            name, given || ' 00:00:00+00', (given + 1) || ' 00:00:00+00');
    END IF;
END
$function$;

-- Write one segment; false where it is there already. A line of `given_rows` is at, request id, row, caller, features,
-- prediction and scores, with tabs between; a line of `given_protected` a JSON object of request_id, row and values.
-- Codes: GP001 another segment has this id, GP002 too young to let go, GP003 not a segment.
CREATE OR REPLACE FUNCTION predictions.write_segment(given_header text, given_rows text, given_protected text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '30s'
AS $function$
DECLARE
    about   json := given_header::json;
    hash    text := encode(sha256(convert_to(given_header || E'\n' || given_rows, 'UTF8')), 'hex');
    known   predictions.segment;
    moment  timestamptz := predictions.arrival();
    added   bigint;
    many    int;
    first   timestamptz;
    last    timestamptz;
BEGIN
    INSERT INTO predictions.segment
        (id, header, model, version, registry_version, evidence, digest, rows, first_at, last_at, logged_at)
    VALUES (about ->> 'segment', given_header, about ->> 'model', about ->> 'version',
        (about ->> 'registry_version')::int, about ->> 'evidence', hash, 0, moment, moment, moment)
    ON CONFLICT (id) DO NOTHING RETURNING number INTO added;
    IF added IS NULL THEN
        SELECT * INTO known FROM predictions.segment WHERE id = about ->> 'segment';
        IF known.digest <> hash THEN
            RAISE EXCEPTION 'Expected the segment % with the digest %, found it with %.', known.id, known.digest, hash
                USING ERRCODE = 'GP001';
        END IF;
        RETURN false;
    END IF;

    SELECT count(*), min(split_part(l.text, E'\t', 1)::timestamptz), max(split_part(l.text, E'\t', 1)::timestamptz)
    INTO many, first, last FROM string_to_table(given_rows, E'\n') AS l (text) WHERE l.text <> '';
    IF many = 0 OR first < moment - interval '800 days' OR last > moment + interval '1 day' THEN
        RAISE EXCEPTION 'Expected rows of the last 800 days in the segment %, found % rows from % to %.',
            about ->> 'segment', many, first, last USING ERRCODE = 'GP003';
    END IF;
    PERFORM predictions.ensure_day(days.day::date)
        FROM generate_series(date_trunc('day', first), last, interval '1 day') AS days (day)
        WHERE EXISTS (SELECT FROM string_to_table(given_rows, E'\n') AS l (text)
            WHERE l.text LIKE to_char(days.day, 'YYYY-MM-DD') || '%');
    INSERT INTO predictions.prediction
        (segment, line, at, row, model, request_id, caller, features, prediction, scores)
    SELECT added, l.line, l.field[1]::timestamptz, l.field[3]::int, about ->> 'model', l.field[2], l.field[4],
        l.field[5]::json, l.field[6]::json, l.field[7]::json
    -- OFFSET 0: a line is taken apart once, not once a field.
    FROM (SELECT line, string_to_array(text, E'\t') AS field
          FROM string_to_table(given_rows, E'\n') WITH ORDINALITY AS l (text, line) WHERE text <> '' OFFSET 0) AS l;
    UPDATE predictions.segment SET rows = many, first_at = first, last_at = last WHERE number = added;

    INSERT INTO predictions.protected (model, request_id, row, values, arrived_at, source)
    SELECT about ->> 'model', l.text::json ->> 'request_id', (l.text::json ->> 'row')::int,
        (l.text::json -> 'values')::jsonb, moment, 'invocation'
    FROM string_to_table(given_protected, E'\n') AS l (text) WHERE l.text <> '';
    RETURN true;
END
$function$;

-- Write what was refused: lines of at, fault, feature, requests and rows, with tabs between. What came by the same file
-- before is there already, and adds nothing.
CREATE OR REPLACE FUNCTION predictions.write_refusals(given_header text, given_lines text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '30s'
AS $function$
DECLARE
    about  json := given_header::json;
    moment timestamptz := predictions.arrival();
BEGIN
    INSERT INTO predictions.refusal (segment, fault, feature, at, model, evidence, requests, rows, logged_at)
    SELECT about ->> 'segment', l.field[2], l.field[3], min(l.field[1]::timestamptz), about ->> 'model',
        about ->> 'evidence', sum(l.field[4]::bigint), sum(l.field[5]::bigint), moment
    FROM (SELECT string_to_array(text, E'\t') AS field FROM string_to_table(given_lines, E'\n') AS l (text)
          WHERE text <> '' OFFSET 0) AS l
    GROUP BY l.field[2], l.field[3]
    ON CONFLICT DO NOTHING;
END
$function$;

-- Write labels and protected values: an array of objects of request_id, row, and label or protected or both. What the
-- newest row says already adds none. `unknown` counts those of no request that is in the log so far.
-- No temporary tables: one that the caller made before could carry a trigger, which would run as the owner.
CREATE OR REPLACE FUNCTION predictions.write_labels(given_model text, given_source text, given json)
RETURNS TABLE (accepted bigint, unchanged bigint, unknown bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '30s'
AS $function$
DECLARE
    moment timestamptz;
BEGIN
    -- One writer a model at a time, or the same label sent twice at once would be written twice.
    PERFORM pg_advisory_xact_lock(512016032, hashtext(given_model));
    moment := predictions.arrival();
    RETURN QUERY
    WITH told AS MATERIALIZED (
        SELECT g.n, g.item ->> 'request_id' AS request_id, (g.item ->> 'row')::int AS place, g.item -> 'label' AS label,
            (g.item -> 'protected')::jsonb AS apart
        FROM json_array_elements(given) WITH ORDINALITY AS g (item, n)
    ), keys AS MATERIALIZED (
        SELECT DISTINCT t.request_id, t.place FROM told AS t
    ), labelled AS (
        SELECT t.n, t.request_id, t.place, t.label,
            CASE WHEN lag(t.n) OVER same IS NULL
                THEN (SELECT l.label::text FROM predictions.label AS l WHERE l.model = given_model
                      AND l.request_id = t.request_id AND l.row = t.place ORDER BY l.id DESC LIMIT 1)
                ELSE lag(t.label::text) OVER same END AS before
        FROM told AS t WHERE t.label IS NOT NULL WINDOW same AS (PARTITION BY t.request_id, t.place ORDER BY t.n)
    ), new_labels AS (
        INSERT INTO predictions.label (model, request_id, row, label, arrived_at, source)
        SELECT given_model, l.request_id, l.place, l.label, moment, given_source FROM labelled AS l
        WHERE l.before IS DISTINCT FROM l.label::text ORDER BY l.n RETURNING 1
    ), separate AS (
        SELECT t.n, t.request_id, t.place, t.apart,
            CASE WHEN lag(t.n) OVER same IS NULL
                THEN (SELECT p.values FROM predictions.protected AS p WHERE p.model = given_model
                      AND p.request_id = t.request_id AND p.row = t.place ORDER BY p.id DESC LIMIT 1)
                ELSE lag(t.apart) OVER same END AS before
        FROM told AS t WHERE t.apart IS NOT NULL WINDOW same AS (PARTITION BY t.request_id, t.place ORDER BY t.n)
    ), new_values AS (
        INSERT INTO predictions.protected (model, request_id, row, values, arrived_at, source)
        SELECT given_model, s.request_id, s.place, s.apart, moment, given_source FROM separate AS s
        WHERE NOT coalesce(s.before @> s.apart, false) ORDER BY s.n RETURNING 1
    ), counted AS (
        SELECT (SELECT count(*) FROM new_labels) + (SELECT count(*) FROM new_values) AS added,
            (SELECT count(t.label) + count(t.apart) FROM told AS t) AS asked
    )
    SELECT c.added, c.asked - c.added, (SELECT count(*) FROM keys AS k WHERE NOT EXISTS (
        SELECT FROM predictions.prediction AS p
        WHERE p.request_id = k.request_id AND p.row = k.place AND p.model = given_model))
    FROM counted AS c;
END
$function$;

-- Let go of what is older than a model's moment; models that are not named use `otherwise`. A segment goes as a whole,
-- with its last row; its line stays, with digest and count, so that the gap is known for one. Days without a row that
-- anybody still needs are dropped. Nothing younger than the longest of all floors that hold for everybody goes.
CREATE OR REPLACE FUNCTION predictions.retain(moments json, otherwise timestamptz)
RETURNS TABLE (segments bigint, days bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '30s'
AS $function$
DECLARE
    youngest timestamptz := greatest(otherwise, (SELECT max(m.value::timestamptz) FROM json_each_text(moments) AS m));
    gone     bigint;
    dropped  bigint := 0;
    day      record;
    needed   boolean;
BEGIN
    IF youngest > clock_timestamp() - interval '184 days' THEN
        RAISE EXCEPTION 'Expected to let go of what is older than 184 days at least, found %.', youngest
            USING ERRCODE = 'GP002';
    END IF;
    UPDATE predictions.segment AS s SET retired_at = clock_timestamp()
    WHERE s.retired_at IS NULL AND s.last_at < coalesce((moments ->> s.model)::timestamptz, otherwise);
    GET DIAGNOSTICS gone = ROW_COUNT;
    FOR day IN
        SELECT c.relname AS name FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'predictions.prediction'::regclass AND c.relname < 'day_' || to_char(youngest, 'YYYYMMDD')
        ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM predictions.%I AS p JOIN predictions.segment AS s '
            'ON s.number = p.segment WHERE s.retired_at IS NULL)', day.name) INTO needed;
        IF needed THEN
            EXECUTE format('DELETE FROM predictions.%I AS p USING predictions.segment AS s '
                'WHERE s.number = p.segment AND s.retired_at IS NOT NULL', day.name);
        ELSE
            EXECUTE format('DROP TABLE predictions.%I', day.name);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    DELETE FROM predictions.label AS l WHERE l.arrived_at < coalesce((moments ->> l.model)::timestamptz, otherwise);
    DELETE FROM predictions.protected AS p WHERE p.arrived_at < coalesce((moments ->> p.model)::timestamptz, otherwise);
    DELETE FROM predictions.refusal AS r WHERE r.at < coalesce((moments ->> r.model)::timestamptz, otherwise);
    RETURN QUERY SELECT gone, dropped;
END
$function$;

ALTER TABLE predictions.segment OWNER TO governance_owner;
ALTER TABLE predictions.prediction OWNER TO governance_owner;
ALTER TABLE predictions.label OWNER TO governance_owner;
ALTER TABLE predictions.protected OWNER TO governance_owner;
ALTER TABLE predictions.refusal OWNER TO governance_owner;
ALTER FUNCTION predictions.arrival() OWNER TO governance_owner;
ALTER FUNCTION predictions.settle() OWNER TO governance_owner;
ALTER FUNCTION predictions.ensure_day(date) OWNER TO governance_owner;
ALTER FUNCTION predictions.write_segment(text, text, text) OWNER TO governance_owner;
ALTER FUNCTION predictions.write_refusals(text, text) OWNER TO governance_owner;
ALTER FUNCTION predictions.write_labels(text, text, json) OWNER TO governance_owner;
ALTER FUNCTION predictions.retain(json, timestamptz) OWNER TO governance_owner;

REVOKE ALL ON SCHEMA predictions FROM PUBLIC, pipeline, review, serving, auditor, witness;
REVOKE ALL ON ALL TABLES IN SCHEMA predictions FROM PUBLIC, pipeline, review, serving, auditor, witness;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA predictions FROM PUBLIC, pipeline, review, serving, auditor, witness;
GRANT USAGE ON SCHEMA predictions TO pipeline, serving, auditor;
GRANT SELECT ON predictions.segment, predictions.prediction, predictions.label, predictions.protected,
    predictions.refusal TO pipeline, auditor;
GRANT EXECUTE ON FUNCTION predictions.write_segment(text, text, text) TO serving;
GRANT EXECUTE ON FUNCTION predictions.write_refusals(text, text) TO serving;
GRANT EXECUTE ON FUNCTION predictions.write_labels(text, text, json) TO serving, pipeline;
GRANT EXECUTE ON FUNCTION predictions.settle() TO pipeline, auditor;
GRANT EXECUTE ON FUNCTION predictions.retain(json, timestamptz) TO pipeline;
