package polywire

import (
	"cmp"
	"fmt"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/internal/admin"
)

// adminHealth is what the admin server looks at for its named checks.
func (b *Broker) adminHealth() admin.Health {
	settings := func() config.Health { return b.parts.Config().Admin.Health }
	served := func(look func() []admin.Finding) func() []admin.Finding {
		return func() []admin.Finding {
			if !b.life.serving() {
				return nil // the check "accepting" says that
			}
			return look()
		}
	}
	return admin.Health{
		Levels:          func() map[string]admin.Level { return healthLevels(settings()) },
		Listeners:       served(b.checkListeners),
		Loops:           func() []admin.Finding { return b.checkLoops(settings().LoopTimeout) },
		Plugins:         served(b.parts.CheckPlugins),
		Sessions:        served(func() []admin.Finding { return b.parts.CheckSessions(uint64(settings().SessionSpace)) }),
		CertificateDays: func() int { return settings().CertificateDays },
	}
}

func healthLevels(h config.Health) map[string]admin.Level {
	of := map[config.HealthLevel]admin.Level{
		config.HealthOff: admin.Off, config.HealthWarn: admin.AsWarning, config.HealthFail: admin.AsFailure,
	}
	return map[string]admin.Level{
		"listeners": of[h.Listeners], "loops": of[h.Loops], "plugins": of[h.Plugins], "certificates": of[h.Certificates], "memory": of[h.Memory],
		"cluster": of[h.Cluster], "bridges": of[h.Bridges], "sessions": of[h.Sessions], "events": of[h.Events],
	}
}

// checkListeners fails for endpoints that no client can reach.
func (b *Broker) checkListeners() (found []admin.Finding) {
	for _, one := range b.parts.Network.Listeners() {
		f := admin.Finding{Component: one.Endpoint}
		if one.Err != nil {
			f.Status, f.Text = admin.Fail, one.Err.Error()
		}
		found = append(found, f)
	}
	return found
}

// waking is how long a loop may take that has stood still with the whole process.
const waking = time.Second

// checkLoops fails for event loops that have not turned for too long.
func (b *Broker) checkLoops(limit time.Duration) (found []admin.Finding) {
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		found = nil
		stuck := false
		for i, still := range b.parts.Network.Still() {
			f := admin.Finding{Component: fmt.Sprint(i), Observed: still.Milliseconds(), Unit: "ms"}
			if still > cmp.Or(limit, 30*time.Second) {
				f.Status, f.Text = admin.Fail, fmt.Sprintf("the event loop has not turned for %v", still.Round(time.Second))
				stuck = true
			}
			found = append(found, f)
		}
		if !stuck || time.Since(began) > waking {
			return found
		}
	}
}
