module github.com/appfigures-exporter/appfigures_exporter/e2e

go 1.26.0
