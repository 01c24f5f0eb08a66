"""Reads a data set of segments as an analyst would: with DuckDB by the folders' names, with pandas, and by the rules of
Spark's file layout; and an export as Parquet. The folders are the arguments: what is in the first stands in its `_expected.json`, and
in the second in its manifest."""

import json
import pathlib
import re
import sys

import duckdb
import pandas
import pyarrow.dataset
import pyarrow.parquet

root = pathlib.Path(sys.argv[1])
expected = json.loads((root / "_expected.json").read_text())
passed = failed = 0


def check(name, found, wanted):
    global passed, failed
    if found == wanted:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}: {found!r}, wanted {wanted!r}")


rows = {month: facts["rows"] for month, facts in expected["months"].items()}
verbs = {month: facts["verbs"] for month, facts in expected["months"].items()}
parts = sorted(root.glob("tenant=*/month=*/part-*.parquet"))

# DuckDB, by the names of the folders.
db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")
db.execute(
    f"CREATE VIEW statements AS SELECT * FROM read_parquet('{root}/tenant=*/month=*/part-*.parquet', "
    "hive_partitioning = true, hive_types_autocast = false)"
)
check("duckdb: rows of each month", dict(db.execute("SELECT month, count(*) FROM statements GROUP BY 1").fetchall()), rows)
found = {}
for month, verb, count in db.execute("SELECT month, verb, count(*) FROM statements GROUP BY 1, 2").fetchall():
    found.setdefault(month, {})[verb] = count
check("duckdb: verbs of each month", found, verbs)
tenants = [row[0] for row in db.execute("SELECT DISTINCT tenant FROM statements").fetchall()]
check("duckdb: the tenant", tenants, [expected["tenant"]])
for month, facts in expected["months"].items():
    sample = facts["sample"]
    query = "SELECT payload, relations, strftime(stored, '%Y-%m-%dT%H:%M:%S.%f') FROM statements WHERE id = ?"
    payload, relations, stored = db.execute(query, [sample["id"]]).fetchone()
    check(f"duckdb: a payload of {month}, byte for byte", payload, sample["payload"])
    check(f"duckdb: the relations of {month}", relations, sample["relations"])
    check(f"duckdb: when it was stored, {month}", stored[:19], sample["stored"][:19])
    voided = db.execute("SELECT count(*) FROM statements WHERE month = ? AND voided_by IS NOT NULL", [month]).fetchone()[0]
    check(f"duckdb: voided of {month}", voided, facts["voided"])
score = db.execute("SELECT count(*) FROM statements WHERE (payload->>'$.result.score.scaled')::double >= 0.5").fetchone()[0]
check("duckdb: a number inside the payload", score > 0, True)

# pandas, by way of pyarrow's data sets.
files = pyarrow.dataset.dataset(str(root), format="parquet", partitioning="hive")
frame = files.to_table(columns=["id", "stored", "occurred", "verb", "payload", "month"]).to_pandas()
check("pandas: rows of each month", frame.groupby("month", observed=True).size().to_dict(), rows)
check("pandas: times are in UTC", str(frame["stored"].dtype.tz), "UTC")
check("pandas: who gave no time has none", bool(frame["occurred"].isna().any()), True)
sample = expected["months"]["2026-03"]["sample"]
check("pandas: a payload", frame[frame["id"] == sample["id"]]["payload"].iloc[0], sample["payload"])
one = pandas.read_parquet(parts[0])
check("pandas: a part alone is in the order of time", bool(one["stored"].is_monotonic_increasing), True)

# Spark's layout: folders of name=value, whatever begins with an underscore is passed over, no column of the files has the
# name of a folder's, one schema everywhere, and only types that its reader knows.
schemas = {pyarrow.parquet.read_schema(part).remove_metadata().to_string() for part in parts}
check("layout: one schema", len(schemas), 1)
schema = pyarrow.parquet.read_schema(parts[0])
check("layout: no column is called as a folder is", {"tenant", "month"} & set(schema.names), set())
visible = [f for f in root.rglob("*.parquet") if not any(p.startswith("_") for p in f.relative_to(root).parts)]
check("layout: nothing but parts is visible", sorted(visible), parts)
names = [re.fullmatch(r"tenant=[0-9a-f-]{36}/month=\d{4}-\d{2}/part-\d{4}\.parquet", str(p.relative_to(root))) for p in parts]
check("layout: the names", all(names), True)
check("layout: as many parts as the manifests say", len(parts), sum(f["parts"] for f in expected["months"].values()))
physical = {pyarrow.parquet.ParquetFile(parts[0]).schema.column(n).physical_type for n in range(len(schema.names))}
check("layout: plain types", physical <= {"BYTE_ARRAY", "INT64", "BOOLEAN"}, True)
footer = pyarrow.parquet.read_metadata(parts[0])
check("footer: ours", json.loads(footer.metadata[b"progress-service.segment"])["format"], 1)
order = [footer.row_group(0).sorting_columns[n].column_index for n in range(2)]
check("footer: sorted by time, then id", [footer.schema.column(n).name for n in order], ["stored", "id"])
check("footer: zstd", {footer.row_group(0).column(n).compression for n in range(footer.num_columns)}, {"ZSTD"})

# An export: its months by their files, what is asked for in columns, and all there is of a statement in one.
export = pathlib.Path(sys.argv[2])
manifest = json.loads((export / "manifest.json").read_text())
db.execute(f"CREATE VIEW exported AS SELECT * FROM read_parquet('{export}/statements/*.parquet')")
months = {month["month"]: month["statements"] for month in manifest["months"]}
check("export: rows of each month", dict(db.execute("SELECT strftime(stored, '%Y-%m'), count(*) FROM exported GROUP BY 1").fetchall()), months)
odd = "SELECT count(*) FROM exported WHERE id <> statement->>'$.id' OR verb <> statement->>'$.verb.id' OR object_id <> statement->>'$.object.id'"
check("export: the columns say what the statement says", db.execute(odd).fetchone()[0], 0)
check("export: pandas reads it", len(pandas.read_parquet(export / "statements")), manifest["counts"]["statements"])

print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
