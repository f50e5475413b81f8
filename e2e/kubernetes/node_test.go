package kubernetes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// node stands in for the scheduler and the kubelets: it runs nothing, but reports that the Pods run, and that those of
// Helm's tests have succeeded.
type node struct{ *cluster }

// startNode watches all Pods until the test ends.
func startNode(c *cluster) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+"/api/v1/pods?watch=true", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, err := c.client.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		n := node{c}
		for decoder := json.NewDecoder(response.Body); ; {
			var event struct {
				Type   string
				Object object
			}
			if decoder.Decode(&event) != nil { // the test has ended
				return
			}
			n.observe(event.Type, event.Object)
		}
	})
	c.t.Cleanup(func() {
		response.Body.Close()
		watching.Wait()
	})
}

// observe does what is next for a Pod.
func (n node) observe(event string, pod object) {
	path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s", pod.Metadata.Namespace, pod.Metadata.Name)
	switch {
	case event == "DELETED":
	case pod.Metadata.DeletionTimestamp != nil:
		n.try(http.MethodDelete, path, "application/json",
			fmt.Sprintf(`{"gracePeriodSeconds": 0, "preconditions": {"uid": %q}}`, pod.Metadata.UID))
	case pod.Spec.NodeName == "":
		n.try(http.MethodPost, path+"/binding", "application/json",
			fmt.Sprintf(`{"metadata": {"name": %q}, "target": {"kind": "Node", "name": "node"}}`, pod.Metadata.Name))
	case pod.Status.Phase == "Pending":
		phase := "Running"
		if pod.Spec.RestartPolicy == "Never" {
			phase = "Succeeded"
		}
		n.try(http.MethodPatch, path+"/status", "application/strategic-merge-patch+json",
			fmt.Sprintf(`{"status": {"phase": %q, "conditions": [{"type": "Ready", "status": "True"}]}}`, phase))
	}
}

// try makes a request that may come too late: the Pod has changed, which is another event, or is gone.
func (n node) try(method, path, contentType, body string) {
	_, err := n.request(method, path, contentType, []byte(body))
	late := err != nil && (strings.Contains(err.Error(), ": 404 ") || strings.Contains(err.Error(), ": 409 "))
	if err != nil && !late && n.t.Context().Err() == nil {
		n.t.Error(err)
	}
}
