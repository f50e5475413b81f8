module github.com/appfigures-exporter/appfigures_exporter/e2e/kubernetes

go 1.26.0

require github.com/appfigures-exporter/appfigures_exporter/e2e v0.0.0

require github.com/appfigures-exporter/appfigures_exporter v0.0.0 // indirect

replace (
	github.com/appfigures-exporter/appfigures_exporter => ../..
	github.com/appfigures-exporter/appfigures_exporter/e2e => ..
)
