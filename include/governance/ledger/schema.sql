-- The ledger: one append-only, hash-chained table, and one function through which everything enters it.
--
-- Applied by a superuser, in one transaction, as often as one likes. It makes the roles (without passwords: the
-- deployment sets them), the schema `ledger` and an origin that names this ledger for ever. Nobody who logs in owns any
-- of it: `governance_owner` cannot log in, and the others may read, and call functions.
--
-- What this does not stop is a superuser. Triggers and grants are guard rails; what a superuser changes is found by the
-- verifier (verify.py), and a consistent rewrite only by a checkpoint kept elsewhere.

DO $check$
BEGIN
    IF current_setting('server_version_num')::int < 160000 THEN
        RAISE EXCEPTION 'Expected PostgreSQL 16 or later (it checks for repeated keys in JSON), found %.',
            current_setting('server_version');
    END IF;
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'Expected a database in UTF8, found %. Create it with ENCODING ''UTF8''.',
            current_setting('server_encoding');
    END IF;
END
$check$;

SELECT pg_advisory_xact_lock(hashtextextended('governance ledger schema', 0));

DO $roles$
DECLARE
    login text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'governance_owner') THEN
        CREATE ROLE governance_owner NOLOGIN;
    END IF;
    FOREACH login IN ARRAY ARRAY['pipeline', 'review', 'serving', 'auditor', 'witness'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', login);
        END IF;
        IF pg_has_role(login, 'governance_owner', 'MEMBER') THEN
            RAISE EXCEPTION 'Expected % to be an ordinary role, found a superuser or a member of governance_owner: '
                'it could rewrite the ledger. Take that away and apply the schema again.', login;
        END IF;
    END LOOP;
    ALTER ROLE governance_owner NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
END
$roles$;

CREATE SCHEMA IF NOT EXISTS ledger;
ALTER SCHEMA ledger OWNER TO governance_owner;

-- Which ledger this is. Every entry names it, so that an entry of another ledger is worth nothing here.
CREATE TABLE IF NOT EXISTS ledger.origin (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    name     text NOT NULL
);
INSERT INTO ledger.origin (name) VALUES ('governance-ledger/' || gen_random_uuid()) ON CONFLICT DO NOTHING;

-- `body` is the entry. `leaf` and `chain` are computed from it here; the other columns are copied out of it here, for
-- the indexes; the verifier compares every one of them with the body.
CREATE TABLE IF NOT EXISTS ledger.entry (
    seq     bigint PRIMARY KEY CHECK (seq >= 1),
    body    bytea NOT NULL,
    leaf    bytea NOT NULL CHECK (octet_length(leaf) = 32),
    chain   bytea NOT NULL CHECK (octet_length(chain) = 32),
    kind    text NOT NULL,
    subject text NOT NULL,
    actor   text NOT NULL,
    key     text NOT NULL UNIQUE,
    at      timestamptz NOT NULL,
    writer  text NOT NULL
);
CREATE INDEX IF NOT EXISTS entry_by_kind ON ledger.entry (kind, subject, seq);
CREATE INDEX IF NOT EXISTS entry_by_subject ON ledger.entry (subject, seq);
CREATE INDEX IF NOT EXISTS entry_by_time ON ledger.entry (at);

-- Personal data that can be erased: entries hold a salted commitment to it, never the text. An erased row stays, empty.
CREATE TABLE IF NOT EXISTS ledger.erasable (
    id   text PRIMARY KEY,
    salt bytea,
    body text,
    CHECK ((salt IS NULL) = (body IS NULL))
);

CREATE OR REPLACE FUNCTION ledger.refuse() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RAISE EXCEPTION 'The ledger is append-only: % on %.% is refused.', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$function$;

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.origin
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse();
CREATE OR REPLACE TRIGGER append_only BEFORE TRUNCATE ON ledger.erasable
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse();
-- ALWAYS: session_replication_role = replica does not switch them off.
ALTER TABLE ledger.entry ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE ledger.origin ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE ledger.erasable ENABLE ALWAYS TRIGGER append_only;

-- Who may write what. hashes.py has the same table, and a test compares the two.
CREATE OR REPLACE FUNCTION ledger.may_append(writer text, kind text) RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT CASE writer
        WHEN 'pipeline' THEN kind IN ('run', 'snapshot', 'validation', 'candidate', 'measured', 'evidence', 'rejected',
                                      'expired', 'alternatives', 'release', 'revert', 'message', 'operation',
                                      'rollback', 'no_rollback', 'resume', 'stop', 'incident', 'drill',
                                      'window', 'watched', 'monitoring', 'report', 'let_go', 'rows_erased')
        WHEN 'review'   THEN kind IN ('decision', 'permit', 'revocation', 'erased', 'waiver', 'waiver_signature',
                                      'finding_closed', 'stop', 'incident', 'incident_closed', 'message',
                                      'break_glass', 'break_glass_signature', 'standing_approval',
                                      'standing_approval_signature', 'standing_approval_use')
        WHEN 'serving'  THEN kind IN ('served', 'refused', 'predictions')
        WHEN 'witness'  THEN kind = 'checkpoint'
        ELSE false
    END
$function$;

-- A decimal number in the notation of ECMAScript, which is that of RFC 8785. Digits are kept, not rounded.
CREATE OR REPLACE FUNCTION ledger.canonical_notation(number text) RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $function$
DECLARE
    parts  text[] := regexp_match(number, '^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$');
    digits text := ltrim(parts[2] || coalesce(parts[3], ''), '0');
    point  int := coalesce(parts[4]::int, 0) - coalesce(length(parts[3]), 0) + length(digits);
BEGIN
    digits := rtrim(digits, '0');
    IF digits = '' THEN
        RETURN '0';
    ELSIF point BETWEEN length(digits) AND 21 THEN
        RETURN parts[1] || digits || repeat('0', point - length(digits));
    ELSIF point BETWEEN 1 AND 21 THEN
        RETURN parts[1] || left(digits, point) || '.' || substr(digits, point + 1);
    ELSIF point BETWEEN -5 AND 0 THEN
        RETURN parts[1] || '0.' || repeat('0', -point) || digits;
    END IF;
    RETURN parts[1] || left(digits, 1) || CASE WHEN length(digits) > 1 THEN '.' || substr(digits, 2) ELSE '' END
        || 'e' || CASE WHEN point > 0 THEN '+' ELSE '' END || (point - 1);
END
$function$;

-- A number as RFC 8785 writes it, with the fewest digits that name the same double. PostgreSQL prints one digit too many
-- for a few doubles, so a shorter form is believed. Integers beyond 2^53 - 1 are refused.
CREATE OR REPLACE FUNCTION ledger.canonical_number(number text) RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $function$
DECLARE
    shortest text;
BEGIN
    IF number ~ '^(0|-?[1-9][0-9]{0,14})$' THEN
        RETURN number;
    ELSIF length(number) > 30 OR number ~ '^-?[0-9]+$' AND abs(number::numeric) > 9007199254740991 THEN
        RAISE data_exception;
    END IF;
    shortest := ledger.canonical_notation(number::float8::text);
    RETURN CASE
        WHEN length(number) < length(shortest) AND ledger.canonical_notation(number) = number THEN number
        ELSE shortest
    END;
END
$function$;

-- JSON as RFC 8785 writes it. Keys are sorted as UTF-16 has them: after U+D7FF come the characters beyond U+FFFF.
CREATE OR REPLACE FUNCTION ledger.canonical(document json) RETURNS text
LANGUAGE plpgsql IMMUTABLE
AS $function$
BEGIN
    CASE json_typeof(document)
        WHEN 'object' THEN
            RETURN (
                SELECT '{' || coalesce(string_agg(
                    to_json(member.key) || ':' || ledger.canonical(member.value), ','
                    ORDER BY regexp_replace(member.key, E'([\U00010000-\U0010FFFF])', E'\uD7FF\\1', 'g') COLLATE "C"
                ), '') || '}'
                FROM json_each(document) AS member
            );
        WHEN 'array' THEN
            RETURN (
                SELECT '[' || coalesce(string_agg(ledger.canonical(item.value), ',' ORDER BY item.place), '') || ']'
                FROM json_array_elements(document) WITH ORDINALITY AS item (value, place)
            );
        WHEN 'string' THEN RETURN to_json(document #>> '{}');
        WHEN 'number' THEN RETURN ledger.canonical_number(document::text);
        ELSE RETURN document;
    END CASE;
END
$function$;

-- Read the body of an entry and refuse what is not one. Codes: GL001 another ledger, GL002 not this writer's to say,
-- GL003 not an entry, GL004 the key belongs to another entry, GL005 the clock is wrong, GL006 wrong isolation level.
CREATE OR REPLACE FUNCTION ledger.read_body(given bytea) RETURNS ledger.entry
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET extra_float_digits = 1
AS $function$
DECLARE
    entry     ledger.entry;
    written   text;
    document  json;
    canonical text;
BEGIN
    IF given IS NULL OR octet_length(given) > 16777216 THEN
        RAISE EXCEPTION 'Expected an entry of at most 16 MiB, found % bytes.', octet_length(given)
            USING ERRCODE = 'GL003';
    END IF;
    BEGIN
        written := convert_from(given, 'UTF8');
        IF NOT written IS JSON OBJECT WITH UNIQUE KEYS THEN
            RAISE data_exception;
        END IF;
        document := written::json;
        entry.body := given;
        entry.kind := document ->> 'kind';
        entry.subject := document ->> 'subject';
        entry.actor := document ->> 'actor';
        entry.key := document ->> 'key';
        entry.writer := document ->> 'writer';
        entry.at := (document ->> 'at')::timestamptz;
        -- Rebuilt as a whole and compared: nothing else may be in it, and nothing may be written another way.
        canonical := '{"actor":' || to_json(entry.actor)
            || ',"at":"' || to_char(entry.at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
            || '","data":' || CASE json_typeof(document -> 'data') WHEN 'object' THEN ledger.canonical(document -> 'data') END
            || ',"key":' || to_json(entry.key) || ',"kind":' || to_json(entry.kind)
            || ',"log":' || to_json(document ->> 'log') || ',"subject":' || to_json(entry.subject)
            || ',"v":1,"writer":' || to_json(entry.writer) || '}';
    EXCEPTION WHEN data_exception OR statement_too_complex THEN
        RAISE EXCEPTION 'Expected an entry as JSON in UTF-8 without repeated keys, U+0000, numbers beyond a double or '
            'integers beyond 2^53 - 1, found one that has them or is too deep.' USING ERRCODE = 'GL003';
    END;
    IF canonical IS DISTINCT FROM written THEN
        RAISE EXCEPTION 'Expected an entry in canonical form (RFC 8785) with exactly actor, at, data (an object), key, '
            'kind, log, subject, v = 1 and writer, found another form.' USING ERRCODE = 'GL003';
    END IF;
    IF NOT (length(entry.actor) BETWEEN 1 AND 200 AND length(entry.subject) BETWEEN 1 AND 200
            AND length(entry.key) BETWEEN 1 AND 500) THEN
        RAISE EXCEPTION 'Expected actor and subject of 1 to 200 characters and a key of 1 to 500, found %, % and %.',
            length(entry.actor), length(entry.subject), length(entry.key) USING ERRCODE = 'GL003';
    END IF;
    IF document ->> 'log' IS DISTINCT FROM (SELECT name FROM ledger.origin) THEN
        RAISE EXCEPTION 'Expected an entry of the ledger %, found one of %.',
            (SELECT name FROM ledger.origin), document ->> 'log' USING ERRCODE = 'GL001';
    END IF;
    RETURN entry;
END
$function$;

-- Append one entry. The caller is who logged in (session_user), whatever the body says and whatever SET ROLE did.
CREATE OR REPLACE FUNCTION ledger.append(given bytea)
RETURNS TABLE (seq bigint, body bytea, leaf bytea, chain bytea, created boolean)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10s'
AS $function$
DECLARE
    added  ledger.entry := ledger.read_body(given);
    known  ledger.entry;
    head   record;
    latest timestamptz;
BEGIN
    IF added.writer <> session_user OR NOT ledger.may_append(session_user, added.kind) THEN
        RAISE EXCEPTION 'Expected an entry that % may write, found kind "%" by writer "%".',
            session_user, added.kind, added.writer USING ERRCODE = 'GL002';
    END IF;
    -- Or a worker could take the key of a decision before it is made, and so prevent it.
    IF NOT ledger.may_append(session_user, split_part(added.key, ':', 1)) AND EXISTS (
        SELECT FROM unnest(ARRAY['pipeline', 'review', 'serving', 'witness']) AS other
        WHERE ledger.may_append(other, split_part(added.key, ':', 1))
    ) THEN
        RAISE EXCEPTION 'Expected a key that does not begin with another writer''s kind, found "%".', added.key
            USING ERRCODE = 'GL002';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'Expected the isolation level read committed, found %: the head would be read too early.',
            current_setting('transaction_isolation') USING ERRCODE = 'GL006';
    END IF;

    -- The disk is not awaited here, where everybody queues: ledger.flush does that afterwards, for many at once.
    PERFORM set_config('synchronous_commit', 'off', true);
    -- Its own statement: at read committed the next one sees what the holder before us committed.
    PERFORM pg_advisory_xact_lock(7310579620112412021);

    SELECT e.* INTO known FROM ledger.entry AS e WHERE e.key = added.key;
    IF FOUND THEN
        IF (known.kind, known.subject, known.writer) <> (added.kind, added.subject, added.writer) THEN
            RAISE EXCEPTION 'Expected the key "%" to be free, found it on entry % (% of % by %).',
                added.key, known.seq, known.kind, known.subject, known.writer USING ERRCODE = 'GL004';
        END IF;
        RETURN QUERY SELECT known.seq, known.body, known.leaf, known.chain, false;
        RETURN;
    END IF;

    SELECT max(e.at) INTO latest FROM ledger.entry AS e;
    IF abs(extract(epoch FROM added.at - clock_timestamp())) > 60 OR added.at < latest - interval '120 seconds' THEN
        RAISE EXCEPTION 'Expected a time within 60 s of the server''s clock (%) and at most 120 s before the latest '
            'entry (%), found %.', clock_timestamp(), latest, added.at USING ERRCODE = 'GL005';
    END IF;

    SELECT e.seq, e.chain INTO head FROM ledger.entry AS e ORDER BY e.seq DESC LIMIT 1;
    added.seq := coalesce(head.seq, 0) + 1;
    added.leaf := sha256('\x00'::bytea || given);
    added.chain := sha256(convert_to('governance-ledger-chain-v1', 'UTF8') || '\x00'::bytea || int8send(added.seq)
        || coalesce(head.chain, decode(repeat('00', 32), 'hex')) || added.leaf);
    INSERT INTO ledger.entry SELECT added.*;

    RETURN QUERY SELECT added.seq, added.body, added.leaf, added.chain, true;
END
$function$;

-- Return, when its transaction has committed, only after everything that was committed before is on disk: the log is
-- written in order, so what survives a crash is a whole beginning of the ledger. An append is acknowledged after this.
CREATE OR REPLACE FUNCTION ledger.flush() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    PERFORM pg_logical_emit_message(true, 'governance', '');
END
$function$;

CREATE OR REPLACE FUNCTION ledger.keep(given_id text, given_salt bytea, given_body text) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    -- The id commits to salt and text, so a row that is there already is the same one: a retry after a lost reply.
    INSERT INTO ledger.erasable (id, salt, body) VALUES (given_id, given_salt, given_body) ON CONFLICT DO NOTHING
$function$;

CREATE OR REPLACE FUNCTION ledger.recall(given_id text) RETURNS TABLE (salt bytea, body text)
LANGUAGE sql SECURITY DEFINER STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT salt, body FROM ledger.erasable WHERE id = given_id
$function$;

CREATE OR REPLACE FUNCTION ledger.erase(given_id text) RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    WITH emptied AS (UPDATE ledger.erasable SET salt = NULL, body = NULL WHERE id = given_id RETURNING 1)
    SELECT EXISTS (SELECT FROM emptied)
$function$;

ALTER TABLE ledger.origin OWNER TO governance_owner;
ALTER TABLE ledger.entry OWNER TO governance_owner;
ALTER TABLE ledger.erasable OWNER TO governance_owner;
ALTER FUNCTION ledger.refuse() OWNER TO governance_owner;
ALTER FUNCTION ledger.may_append(text, text) OWNER TO governance_owner;
ALTER FUNCTION ledger.canonical_notation(text) OWNER TO governance_owner;
ALTER FUNCTION ledger.canonical_number(text) OWNER TO governance_owner;
ALTER FUNCTION ledger.canonical(json) OWNER TO governance_owner;
ALTER FUNCTION ledger.read_body(bytea) OWNER TO governance_owner;
ALTER FUNCTION ledger.append(bytea) OWNER TO governance_owner;
ALTER FUNCTION ledger.flush() OWNER TO governance_owner;
ALTER FUNCTION ledger.keep(text, bytea, text) OWNER TO governance_owner;
ALTER FUNCTION ledger.recall(text) OWNER TO governance_owner;
ALTER FUNCTION ledger.erase(text) OWNER TO governance_owner;

REVOKE ALL ON SCHEMA ledger FROM PUBLIC, pipeline, review, serving, auditor, witness;
REVOKE ALL ON ALL TABLES IN SCHEMA ledger FROM PUBLIC, pipeline, review, serving, auditor, witness;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC, pipeline, review, serving, auditor, witness;
GRANT USAGE ON SCHEMA ledger TO pipeline, review, serving, auditor, witness;
GRANT SELECT ON ledger.origin, ledger.entry TO pipeline, review, serving, auditor, witness;
GRANT EXECUTE ON FUNCTION ledger.append(bytea), ledger.flush() TO pipeline, review, serving, witness;
GRANT EXECUTE ON FUNCTION ledger.keep(text, bytea, text), ledger.recall(text), ledger.erase(text) TO review;
