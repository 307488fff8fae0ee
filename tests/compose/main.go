// Loads compose files with the official loader, later ones over earlier ones, and says which of our rules they break.
//
//	compose FILE...             a line for each broken rule; 1 if there is one
//	compose --starts FILE       what starts by itself, and what starts with `serve` named
//
// Wrong types, unknown keys and services that nobody defines are the loader's to refuse.
package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// No write and no append may take longer before it is given up (crates/warehouse, crates/journal).
const drain = time.Minute

func main() {
	files := os.Args[1:]
	if len(files) > 1 && files[0] == "--starts" {
		starts(files[1])
		return
	}
	project := load(files, "*")
	problems := check(project)
	sort.Strings(problems)
	for _, problem := range problems {
		fmt.Println(problem)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
	fmt.Printf("ok: %d services, volumes %s, secrets %s\n", len(project.Services), strings.Join(project.VolumeNames(), " "), strings.Join(project.SecretNames(), " "))
}

func load(files []string, profiles ...string) *types.Project {
	options, err := cli.NewProjectOptions(files, cli.WithProfiles(profiles))
	fail(err)
	project, err := options.LoadProject(context.Background())
	fail(err)
	return project
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
}

func starts(file string) {
	fmt.Println("up:", strings.Join(load([]string{file}).ServiceNames(), " "))
	named, err := load([]string{file}, "cluster").WithSelectedServices([]string{"serve"})
	fail(err)
	fmt.Println("--profile cluster up serve:", strings.Join(named.ServiceNames(), " "))
}

var (
	pinned    = regexp.MustCompile(`^[^@]+:[^:/@]+(@sha256:[0-9a-f]{64})?$`)
	secretKey = regexp.MustCompile(`(?i)passw|secret|token|credential|private|_key$|_key_file$|_sha256$`)
	userInURL = regexp.MustCompile(`://[^/@\s]+@`)
)

func check(project *types.Project) (problems []string) {
	plain := 0
	published := map[string]string{}
	for _, name := range project.ServiceNames() {
		service := project.Services[name]
		broken := func(format string, values ...any) {
			problems = append(problems, name+": "+fmt.Sprintf(format, values...))
		}
		once := isOnce(project, name)
		if len(service.Profiles) == 0 {
			plain++
			// One for data, and one for keys, so that a copy of the data holds no key.
			if volumes := named(service); len(volumes) != 2 {
				broken("%d named volumes, not one for data and one for keys, for what starts by itself", len(volumes))
			}
			if len(service.DependsOn) > 0 {
				broken("starts by itself and yet depends on others")
			}
		}
		if !pinned.MatchString(service.Image) || strings.Contains(service.Image, ":latest") {
			broken("image `%s` has no tag", service.Image)
		}
		health := service.HealthCheck
		switch {
		case once && service.Restart != "no":
			broken("is to complete, and is started again")
		case !once && (health == nil || health.Disable || len(health.Test) == 0 || health.Test[0] == "NONE"):
			broken("no health check")
		case !once && health.StartPeriod == nil:
			broken("a health check without a start period")
		case !once && service.Restart != types.RestartPolicyUnlessStopped:
			broken("isn't started again when it ends")
		}
		for other, dependency := range service.DependsOn {
			wanted := types.ServiceConditionHealthy
			if isOnce(project, other) {
				wanted = types.ServiceConditionCompletedSuccessfully
			}
			if dependency.Condition != wanted {
				broken("waits for %s to be %s, not %s", other, dependency.Condition, wanted)
			}
		}
		if service.Logging == nil || service.Logging.Driver != "json-file" || service.Logging.Options["max-size"] != "10m" || service.Logging.Options["max-file"] != "3" {
			broken("logs are not bounded to 3 files of 10m")
		}
		if service.MemLimit == 0 || service.CPUS == 0 {
			broken("no limit of memory or processors")
		}
		if service.StopGracePeriod == nil || time.Duration(*service.StopGracePeriod) < drain {
			broken("may be killed before it has drained")
		}
		if service.Init == nil || !*service.Init {
			broken("no init")
		}
		if !service.ReadOnly {
			broken("its root can be written")
		}
		if !slices.ContainsFunc(service.Tmpfs, func(mount string) bool { return mount == "/tmp" || strings.HasPrefix(mount, "/tmp:") }) {
			broken("no tmpfs on /tmp")
		}
		if !slices.Equal(service.CapDrop, []string{"ALL"}) || len(service.CapAdd) > 0 || service.Privileged {
			broken("keeps capabilities")
		}
		if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			broken("may gain privileges")
		}
		if user := strings.Split(service.User, ":")[0]; user == "" || user == "0" || user == "root" {
			broken("runs as root, or as whomever the image says")
		}
		for key, value := range service.Environment {
			if value == nil || *value == "" {
				continue
			}
			if secretKey.MatchString(key) && !strings.HasPrefix(*value, "/run/secrets/") || userInURL.MatchString(*value) {
				broken("a secret in `%s`", key)
			}
			secret := strings.TrimPrefix(*value, "/run/secrets/")
			if secret != *value && !slices.ContainsFunc(service.Secrets, func(given types.ServiceSecretConfig) bool { return given.Source == secret }) {
				broken("`%s` names a secret that isn't given to it", key)
			}
		}
		if slices.Contains(service.Command, "serve") {
			if slices.ContainsFunc(service.Secrets, func(given types.ServiceSecretConfig) bool { return given.Source == "clickhouse_writer" }) {
				broken("faces users, and may change tables")
			}
			if !slices.ContainsFunc(named(service), func(volume types.ServiceVolumeConfig) bool { return volume.Target == "/data" }) {
				broken("its tokens aren't on a volume with a name")
			}
		}
		for _, volume := range service.Volumes {
			switch {
			case volume.Type == types.VolumeTypeVolume && volume.Source == "":
				broken("the volume at %s has no name", volume.Target)
			case volume.Type == types.VolumeTypeBind && !volume.ReadOnly:
				broken("can write %s of the host", path.Base(volume.Source))
			}
		}
		if logs := service.Environment["KAFKA_LOG_DIRS"]; service.Environment["KAFKA_NODE_ID"] != nil && (logs == nil || !slices.ContainsFunc(named(service), func(volume types.ServiceVolumeConfig) bool {
			return strings.HasPrefix(*logs+"/", volume.Target+"/")
		})) {
			broken("its log isn't on its volume")
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				broken("port %s is open to other machines", port.Published)
			}
			if other, taken := published[port.Published]; taken {
				broken("wants port %s, which is %s's", port.Published, other)
			}
			published[port.Published] = name
		}
	}
	if plain != 1 {
		problems = append(problems, fmt.Sprintf("%d services, not one, start by themselves", plain))
	}
	for name, secret := range project.Secrets {
		if secret.File == "" || secret.Environment != "" || secret.Content != "" {
			problems = append(problems, "secret "+name+": not from a file")
		}
	}
	return problems
}

// Whether others wait for its end.
func isOnce(project *types.Project, name string) bool {
	for _, service := range project.Services {
		if dependency, depends := service.DependsOn[name]; depends && dependency.Condition == types.ServiceConditionCompletedSuccessfully {
			return true
		}
	}
	return false
}

func named(service types.ServiceConfig) (volumes []types.ServiceVolumeConfig) {
	for _, volume := range service.Volumes {
		if volume.Type == types.VolumeTypeVolume && volume.Source != "" {
			volumes = append(volumes, volume)
		}
	}
	return volumes
}
