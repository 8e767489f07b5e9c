"""JUnit XML: valid by Ant's schema, read by an independent reader, and never kinder than the judge."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped
from lxml import etree

from ahc_server.judge import Judgement
from ahc_server.judge.model import Finding, Verdict
from ahc_server.report.junit import draw_junit
from tests.report_example import HOSTILE, made
from tests.report_helpers import group_test, judgement

#: What Ant's junitreport reads, as far as it binds us: written after the documentation of its schema (JUnit.xsd).
SCHEMA = """
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:simpleType name="name"><xs:restriction base="xs:token"><xs:minLength value="1"/></xs:restriction></xs:simpleType>
  <xs:simpleType name="zoneless">
    <xs:restriction base="xs:dateTime">
      <xs:pattern value="\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}"/>
    </xs:restriction>
  </xs:simpleType>
  <xs:complexType name="reason">
    <xs:simpleContent>
      <xs:extension base="xs:string">
        <xs:attribute name="message" type="xs:string"/>
        <xs:attribute name="type" type="xs:string" use="required"/>
      </xs:extension>
    </xs:simpleContent>
  </xs:complexType>
  <xs:complexType name="testcase">
    <xs:choice minOccurs="0">
      <xs:element name="skipped" type="reason"/>
      <xs:element name="error" type="reason"/>
      <xs:element name="failure" type="reason"/>
    </xs:choice>
    <xs:attribute name="name" type="xs:token" use="required"/>
    <xs:attribute name="classname" type="xs:token" use="required"/>
    <xs:attribute name="time" type="xs:decimal" use="required"/>
  </xs:complexType>
  <xs:complexType name="property">
    <xs:attribute name="name" type="name" use="required"/>
    <xs:attribute name="value" type="xs:string" use="required"/>
  </xs:complexType>
  <xs:complexType name="testsuite">
    <xs:sequence>
      <xs:element name="properties">
        <xs:complexType><xs:sequence>
          <xs:element name="property" type="property" minOccurs="0" maxOccurs="unbounded"/>
        </xs:sequence></xs:complexType>
      </xs:element>
      <xs:element name="testcase" type="testcase" minOccurs="0" maxOccurs="unbounded"/>
      <xs:element name="system-out" type="xs:string"/>
      <xs:element name="system-err" type="xs:string"/>
    </xs:sequence>
    <xs:attribute name="id" type="xs:int" use="required"/>
    <xs:attribute name="package" type="xs:token" use="required"/>
    <xs:attribute name="name" type="name" use="required"/>
    <xs:attribute name="timestamp" type="zoneless" use="required"/>
    <xs:attribute name="hostname" type="name" use="required"/>
    <xs:attribute name="tests" type="xs:int" use="required"/>
    <xs:attribute name="failures" type="xs:int" use="required"/>
    <xs:attribute name="errors" type="xs:int" use="required"/>
    <xs:attribute name="skipped" type="xs:int"/>
    <xs:attribute name="time" type="xs:decimal" use="required"/>
  </xs:complexType>
  <xs:element name="testsuites">
    <xs:complexType><xs:sequence>
      <xs:element name="testsuite" type="testsuite" minOccurs="0" maxOccurs="unbounded"/>
    </xs:sequence></xs:complexType>
  </xs:element>
</xs:schema>
"""


def outcomes(of: Judgement) -> dict[str, str]:
    """Name of each case → how an independent reader takes it; the counts of its suite must agree."""
    found: dict[str, str] = {}
    for suite in JUnitXml.fromstring(draw_junit(of).encode()):
        told = []
        for case in suite:
            kinds = [type(each) for each in case.result]
            told.append(
                {Failure: "failure", Error: "error", Skipped: "skipped"}[kinds[0]] if kinds else "passed"
            )
            assert len(kinds) <= 1
            found[str(case.name)] = told[-1]
        counted = (suite.tests, suite.failures, suite.errors, suite.skipped)
        assert counted == (len(told), told.count("failure"), told.count("error"), told.count("skipped"))
    return found


def finding(node: str, **more: object) -> Finding:
    fields = {"component": "disk", "kind": "slow", "severity": "warn", "summary": f"{node}: slow"}
    return Finding(element=f"node:{node}", nodes=[node], **(fields | more))  # type: ignore[arg-type]


def one_group(verdicts: dict[str, Verdict], findings: list[Finding], *, judged: bool = True) -> Judgement:
    names = [*verdicts]
    return judgement(verdicts, {"g1": names}, [group_test(names, 0, broken={}, judged=judged)], findings)


@pytest.mark.parametrize("of", [made(), judgement({}, {}, [], [])], ids=["a fleet", "nobody"])
def test_it_is_valid_by_ants_schema(of: Judgement) -> None:
    schema = etree.XMLSchema(etree.fromstring(SCHEMA))
    schema.assertValid(etree.fromstring(draw_junit(of).encode()))


def test_a_case_per_node_and_component_with_what_was_found() -> None:
    found = outcomes(made())
    assert {name: how for name, how in found.items() if name.startswith("n7 ")} == {
        "n7 cpu": "passed",
        "n7 disk": "failure",
        "n7 memory": "passed",
        "n7 network": "passed",
    }
    assert found["n3 firmware"] == found["e3 health"] == "failure"
    [suite] = [each for each in JUnitXml.fromstring(draw_junit(made()).encode()) if each.name == "g1"]
    [case] = [each for each in suite if each.name == "n16 memory"]
    assert case.classname == "g1"
    [failure] = case.result
    assert failure.type == "warn" and failure.message.startswith("n16: memory: writes")
    assert "cause: 6 DIMM slots empty that 21 of 23 peers fill" in failure.text


def test_what_could_not_be_judged_is_an_error_and_not_skipped() -> None:
    """Every reader of these files lets a build with skipped cases pass."""
    found = outcomes(made())
    assert found["n20 network"] == found["x1 system"] == "error"
    assert outcomes(one_group({"n1": "unknown", "n2": "unknown"}, [], judged=False)) == {
        f"{node} {component}": "error"
        for node in ("n1", "n2")
        for component in ("cpu", "disk", "memory", "network")
    }


def test_an_unknown_node_about_which_nothing_is_said_is_an_error_too() -> None:
    assert outcomes(one_group({"n1": "unknown"}, []))["n1 verdict"] == "error"


def test_what_too_few_peers_have_is_skipped_where_the_node_passes() -> None:
    assert set(outcomes(one_group({"n1": "pass"}, [], judged=False)).values()) == {"skipped"}


def test_two_findings_of_one_component_are_one_failure_that_tells_both() -> None:
    found = [finding("n1", summary="n1: sda slow", severity="fail"), finding("n1", summary="n1: sdb slow")]
    [suite] = JUnitXml.fromstring(draw_junit(one_group({"n1": "fail"}, found)).encode())
    [case] = [each for each in suite if each.name == "n1 disk"]
    [failure] = case.result
    assert failure.type == "fail" and "sda" in failure.text and "sdb" in failure.text


def test_a_pair_fails_both_its_nodes_and_a_group_has_a_case_of_its_own() -> None:
    found = [
        Finding(
            element="pair:n1-n2",
            nodes=["n1", "n2"],
            component="network",
            kind="slow",
            severity="fail",
            summary="n1-n2: no connection",
        ),
        Finding(
            element="group:g1",
            nodes=["n1", "n2"],
            component="disk",
            kind="slow",
            severity="warn",
            summary="g1: two populations",
        ),
    ]
    told = outcomes(one_group({"n1": "fail", "n2": "fail", "n3": "pass"}, found))
    assert told["n1 network"] == told["n2 network"] == told["group g1 disk"] == "failure"
    assert told["n1 disk"] == told["n3 network"] == "passed"


def test_remarks_are_told_and_fail_nothing() -> None:
    told = outcomes(
        one_group({"n1": "pass"}, [finding("n1", severity="info", kind="fast", summary="n1: fast")])
    )
    assert set(told.values()) == {"passed"}
    drawn = draw_junit(
        one_group({"n1": "pass"}, [finding("n1", severity="info", kind="fast", summary="n1: fast")])
    )
    assert "<system-out>n1: fast</system-out>" in drawn


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pass", "warn", "fail", "unknown"]),
            st.lists(st.sampled_from(["cpu", "disk", "health"]), max_size=2, unique=True),
        ),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
)
def test_no_case_is_kinder_than_the_verdict(rows: list[tuple[Verdict, list[str]]], judged: bool) -> None:
    verdicts: dict[str, Verdict] = {f"n{number}": verdict for number, (verdict, _) in enumerate(rows)}
    findings = [
        finding(
            f"n{number}",
            component=component,
            severity=verdict if verdict in ("warn", "fail") else "warn",
            kind="not-measured" if verdict == "unknown" else "slow",
        )
        for number, (verdict, components) in enumerate(rows)
        for component in (components or ["cpu"])
        if verdict != "pass"
    ]
    by_node: dict[str, set[str]] = defaultdict(set)
    for name, how in outcomes(one_group(verdicts, findings, judged=judged)).items():
        by_node[name.split()[0]].add(how)
    for node, verdict in verdicts.items():
        worst = {"pass": set(), "unknown": {"error"}}.get(verdict, {"failure"})
        assert by_node[node] & {"failure", "error"} == worst


@given(st.text())
def test_whatever_a_node_calls_itself_the_file_can_be_read(text: str) -> None:
    drawn = draw_junit(one_group({"n1": "fail"}, [finding("n1", summary=text, cause=text)]))
    assert etree.fromstring(drawn.encode("utf-8", errors="surrogatepass")) is not None


def test_control_characters_that_xml_forbids_are_replaced() -> None:
    drawn = draw_junit(made())
    assert "\x1b" not in drawn and "\u202e" not in drawn
    assert any(
        name.startswith("\"><img src=x onerror=alert('n24')>\N{REPLACEMENT CHARACTER}[2J")
        for name in outcomes(made())
    )
    assert "\x1b" in HOSTILE
