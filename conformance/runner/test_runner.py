"""Tests of the runner itself: a suite that cannot fail proves nothing. Run: python3 -m unittest discover conformance."""

import unittest
from decimal import Decimal
from email.message import Message

from . import check, fill, jws, play
from .cases import HERE, all_cases, expanded, load


class Response:
    def __init__(self, text, status=200, **headers):
        self.status, self.text, self.headers = status, text, Message()
        for name, value in headers.items():
            self.headers[name] = value

    def json(self):
        import json

        return json.loads(self.text, parse_float=Decimal)


class Filling(unittest.TestCase):
    def setUp(self):
        self.names = fill.Names({"row.at": "/b/0/c", "row.value": "{{id:a}}", "number": 7})

    def filled(self, value):
        return fill.fill(value, self.names, {"base": {"a": 1, "run": "{{run}}"}})

    def test_a_whole_name_keeps_its_type_and_a_part_becomes_text(self):
        self.assertEqual(self.filled(["{{number}}", "n{{number}}"]), [7, "n7"])

    def test_a_made_up_name_stays_the_same_within_a_case(self):
        self.assertEqual(self.filled("{{id:a}}"), self.filled("{{row.value}}"))
        self.assertNotEqual(self.filled("{{id:a}}"), self.filled("{{id:b}}"))

    def test_a_fixture_is_changed_by_pointer(self):
        made = self.filled({"$use": "base", "set": {"{{row.at}}": 1}, "remove": ["/a"]})
        self.assertEqual(made, {"run": self.names["run"], "b": [{"c": 1}]})

    def test_a_long_text_and_a_credential_take_names(self):
        self.assertEqual(self.filled({"$long": {"times": "{{number}}", "of": "x"}}), "x" * 7)
        self.assertEqual(self.filled({"$basic": ["k{{number}}", "s"]}), "Basic azc6cw==")

    def test_an_unknown_name_is_an_error(self):
        with self.assertRaises(fill.Unknown):
            self.filled("{{nobody}}")


class Together(unittest.TestCase):
    def test_statuses_are_counted(self):
        self.assertEqual(play.tally({"204": 1, "412": 2}, [412, 204, 412]), [])
        self.assertEqual(len(play.tally({"204": 1, "412": 2}, [204, 204, 412])), 1)
        self.assertEqual(len(play.tally({"204": 2}, [204, 204, 500])), 1)


class Checking(unittest.TestCase):
    def problems(self, expect, text="{}", status=200, **headers):
        return check.problems(expect, Response(text, status, **headers))

    def test_every_kind_of_expectation_can_fail(self):
        for expect in (
            {"status": 204},
            {"status": "4xx"},
            {"headers": {"ETag": {"$exists": True}}},
            {"body": "x"},
            {"contains": ["x"]},
            {"lacks": ["{"]},
            {"json": {"/a": 1}},
            {"json": {"": {"$keys": ["a"]}}},
            {"json": {"/a": {"$matches": "."}}},
            {"json": {"/a": {"$instant": "2024-01-01T00:00:00Z"}}},
            {"ids": ["a"]},
        ):
            self.assertTrue(self.problems(expect), expect)

    def test_true_is_not_one(self):
        self.assertTrue(self.problems({"json": {"/a": 1}}, '{"a":true}'))
        self.assertFalse(self.problems({"json": {"/a": 1}}, '{"a":1.0}'))

    def test_moments_are_compared_across_offsets(self):
        expect = {"json": {"/t": {"$instant": "2024-01-01T12:00:00+02:00"}}}
        self.assertFalse(self.problems(expect, '{"t":"2024-01-01T10:00:00.000Z"}'))
        self.assertTrue(self.problems(expect, '{"t":"2024-01-01T12:00:00Z"}'))


class Signing(unittest.TestCase):
    def test_a_signature_verifies_with_the_key_it_was_made_with(self):
        signer = load(HERE / "signer.json")
        modulus, exponent = int(signer["modulus"], 16), int(signer["exponent"], 16)
        signature = int.from_bytes(jws.sign(b"hello", "sha256", signer), "big")
        # 65537 is the public exponent of nearly every RSA key, this one included.
        plain = pow(signature, 65537, modulus).to_bytes((modulus.bit_length() + 7) // 8, "big")
        self.assertTrue(exponent and plain.startswith(b"\x00\x01\xff"))


class Files(unittest.TestCase):
    def test_all_case_files_are_understood(self):
        self.assertGreater(len(all_cases()), 500)

    def test_a_table_makes_a_case_per_row(self):
        case = {"id": "x", "requirement": "r", "title": "t", "rows": ["a", {"name": "b", "versions": ["2.0.0"]}], "steps": []}
        made = list(expanded(case))
        self.assertEqual([one["id"] for one in made], ["x.1", "x.b"])
        self.assertEqual(made[1]["versions"], ["2.0.0"])


if __name__ == "__main__":
    unittest.main()
