package fxprom

import _ "embed"

// Rules are the alert rules, a file for rule_files of Prometheus.
//
//go:embed rules.yml
var Rules string

// Dashboard is a dashboard to import into Grafana.
//
//go:embed dashboard.json
var Dashboard string
