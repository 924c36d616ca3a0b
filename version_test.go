package polywire

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	const own = "github.com/polywire/polywire"
	commit := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}}
	tests := []struct {
		name, want string
		info       debug.BuildInfo
	}{
		{"installed", "v1.2.3", debug.BuildInfo{Main: debug.Module{Path: own, Version: "v1.2.3"}, Settings: commit}},
		{"checkout", "devel-0123456789ab", debug.BuildInfo{Main: debug.Module{Path: own, Version: "(devel)"}, Settings: commit}},
		{"test", "devel", debug.BuildInfo{Main: debug.Module{Path: own}}},
		{"library", "v1.0.0", debug.BuildInfo{
			Main: debug.Module{Path: "example.com/app", Version: "v9.9.9"}, Settings: commit,
			Deps: []*debug.Module{{Path: "example.com/x", Version: "v8.0.0"}, {Path: own, Version: "v1.0.0"}},
		}},
		{"unknown", "devel", debug.BuildInfo{Main: debug.Module{Path: "example.com/app", Version: "v9.9.9"}, Settings: commit}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := version(&tt.info); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
