module github.com/appfigures-exporter/appfigures_exporter/e2e

go 1.26.0

require github.com/appfigures-exporter/appfigures_exporter v0.0.0

replace github.com/appfigures-exporter/appfigures_exporter => ../
