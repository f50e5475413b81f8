package chart

import (
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/appfigures-exporter/appfigures_exporter/e2e/harness"
)

// TestObjects checks that Kubernetes and Prometheus Operator know every field that the chart renders, and that all Pods
// are restricted.
func TestObjects(t *testing.T) {
	for _, file := range valuesFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			pods := 0
			for name, manifest := range render(t, "--values="+file) {
				if strings.Contains(manifest, "\napiVersion: monitoring.coreos.com/v1\n") {
					if problems := customResourceProblems(t, manifest); len(problems) > 0 {
						t.Errorf("%s: %q", name, problems)
					}
					continue
				}
				switch object := decode(t, manifest).(type) {
				case *appsv1.StatefulSet:
					pods++
					checkRestricted(t, name, &object.Spec.Template.ObjectMeta, &object.Spec.Template.Spec)
					if *object.Spec.Replicas != 1 {
						t.Errorf("%s has %d replicas", name, *object.Spec.Replicas)
					}
				case *corev1.Pod:
					pods++
					checkRestricted(t, name, &object.ObjectMeta, &object.Spec)
				}
			}
			if pods != 2 {
				t.Errorf("found %d Pods, want the exporter's and that of helm test", pods)
			}
		})
	}
}

// decode decodes an object of Kubernetes, without unknown fields.
func decode(t *testing.T, manifest string) runtime.Object {
	t.Helper()
	codecs := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict)
	object, _, err := codecs.UniversalDeserializer().Decode([]byte(manifest), nil, nil)
	if err != nil {
		t.Fatalf("%v:\n%s", err, manifest)
	}
	return object
}

// checkRestricted checks a Pod as Pod Security admission does.
func checkRestricted(t *testing.T, name string, metadata *metav1.ObjectMeta, pod *corev1.PodSpec) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	if result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, metadata, pod)); !result.Allowed {
		t.Errorf("%s is not restricted: %s", name, result.ForbiddenDetail())
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Errorf("%s mounts a token of its ServiceAccount", name)
	}
}

// customResourceProblems validates an object by the definition of Prometheus Operator.
func customResourceProblems(t *testing.T, manifest string) []string {
	t.Helper()
	var object map[string]any
	unmarshal(t, manifest, &object)
	kind := strings.ToLower(object["kind"].(string))
	crds := harness.Module(t, harness.PrometheusOperator) + "/example/prometheus-operator-crd"
	var crd apiextensionsv1.CustomResourceDefinition
	unmarshal(t, harness.Read(t, crds+"/monitoring.coreos.com_"+kind+"s.yaml"), &crd)
	var definition apiextensions.CustomResourceValidation
	err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(
		crd.Spec.Versions[0].Schema, &definition, nil)
	if err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(definition.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(definition.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	var problems []string
	for _, err := range validation.ValidateCustomResource(nil, object, validator) {
		problems = append(problems, err.Error())
	}
	track := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, field := range pruning.PruneWithOptions(object, structural, true, track) {
		problems = append(problems, "unknown field "+field)
	}
	return problems
}
