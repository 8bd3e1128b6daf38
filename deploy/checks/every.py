"""The list of all checks, in the order in which they are told of."""

from checks import compose, docker, expressions, grafana, helm, prometheus, systemd, texts
from checks.check import Check

EVERY = (
    Check("yaml", texts.yaml_is_tidy),
    Check("json", texts.json_is_json),
    Check("shell", texts.scripts_are_sound),
    Check("docker: hadolint", docker.dockerfile_is_tidy),
    Check("docker: images", docker.images_keep_their_promises),
    Check("compose: schema", compose.compose_fits_its_schema),
    Check("compose: parts", compose.compose_finds_what_it_names),
    Check("helm: lint", helm.chart_passes_lint),
    Check("helm: good values", helm.good_values_make_good_objects),
    Check("helm: bad values", helm.bad_values_are_refused),
    Check("helm: templates", helm.every_template_is_rendered_by_some_good_values),
    Check("prometheus: configuration", prometheus.configuration_is_valid),
    Check("prometheus: rules", prometheus.rules_pass_their_tests),
    Check("prometheus: alerts", prometheus.every_alert_is_tried_both_ways),
    Check("promql", expressions.expressions_parse),
    Check("grafana: dashboards", grafana.dashboards_are_whole),
    Check("grafana: links", grafana.links_of_the_chart_lead_to_the_files),
    Check("systemd: units", systemd.units_are_valid),
    Check("systemd: exposure", systemd.units_are_locked_up),
    Check("systemd: users", systemd.users_and_folders_are_valid),
)
