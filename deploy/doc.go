// Package deploy is where the files are that bring the broker to machines, and the tests that build, install and run
// what they say:
//
//	packages_test.go    packages of Debian, RPM and Alpine, as .goreleaser.yaml describes them; Debian's is installed
//	unit_test.go        the service of systemd
//	container_test.go   the image's program, without a root file system to write to
//	chart_test.go       the Helm chart
//	proxies_test.go     nginx and HAProxy with clients of every format behind them
//
// The dashboard and the alerts are held against the broker's metrics by tests of the root.
package deploy
