"""What deploy/systemd takes from the daemons, and must not (docs/adr/0020)."""
import pathlib
import sys
import unittest

FOLDER = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else "deploy/systemd")

# systemd.exec(5): each gives the service a mount namespace of its own.
MOUNT_NAMESPACE = {
    "BindPaths", "BindReadOnlyPaths", "DynamicUser", "ExecPaths", "ExtensionDirectories", "ExtensionImages", "InaccessiblePaths",
    "LoadCredential", "LoadCredentialEncrypted", "LogNamespace", "MountAPIVFS", "MountFlags", "MountImages", "NoExecPaths",
    "PrivateDevices", "PrivateIPC", "PrivateMounts", "PrivateTmp", "ProcSubset", "ProtectControlGroups", "ProtectHome",
    "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem",
    "ReadOnlyPaths", "ReadWritePaths", "RootDirectory", "RootImage", "SetCredential", "TemporaryFileSystem",
}
# Children, and so containers, have them too.
INHERITED = {
    "LimitCORE", "LockPersonality", "MemoryDenyWriteExecute", "NoNewPrivileges", "PrivateNetwork", "PrivateUsers",
    "ProtectClock", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
    "SystemCallArchitectures", "SystemCallFilter", "User",
}


def read(name):
    """Key -> values in order, of all sections."""
    keys = {}
    for line in (FOLDER / name).read_text().splitlines():
        if line and line[0] not in "#[":
            key, value = line.split("=", 1)
            keys.setdefault(key, []).append(value)
    return keys


class Units(unittest.TestCase):
    def test_the_site_with_local_stays_in_the_machines_mount_namespace(self):
        self.assertEqual(set(read("interlink-api.service")) & MOUNT_NAMESPACE, set())

    def test_the_site_with_local_gives_containers_nothing_of_its_own(self):
        self.assertEqual(set(read("interlink-api.service")) & INHERITED, set())

    def test_a_restart_of_the_site_ends_no_container(self):
        unit = read("interlink-api.service")
        self.assertEqual(unit["KillMode"], ["process"])
        self.assertEqual(unit["Delegate"], ["yes"])

    def test_the_node_has_nothing_that_it_does_not_need(self):
        unit = read("interlink-cri.service")
        self.assertEqual(unit["ProtectSystem"], ["strict"])
        self.assertEqual(unit["NoNewPrivileges"], ["yes"])
        self.assertEqual(unit["LimitCORE"], ["0"])
        self.assertEqual(unit["UMask"], ["0077"])
        for capability in unit["CapabilityBoundingSet"][0].split():
            self.assertIn(capability, {"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_CHOWN", "CAP_FOWNER"})
        # Its audit log; the rest of /var/log is read-only to it.
        self.assertEqual(unit["LogsDirectory"], ["interlink-cri"])
        # Kubelet's new mounts must come in.
        self.assertNotIn("MountFlags", unit)
        self.assertNotIn("PrivateMounts", unit)

    def test_a_site_of_a_scheduler_is_nobody(self):
        unit = read("interlink-api-scheduler.conf")
        self.assertEqual(unit["CapabilityBoundingSet"], [""])
        self.assertEqual(unit["NoNewPrivileges"], ["yes"])
        self.assertNotIn("root", unit["User"])

    def test_a_site_of_mapped_users_can_become_them_and_little_else(self):
        unit = read("interlink-api-mapped.conf")
        capabilities = set(unit["CapabilityBoundingSet"][0].split())
        self.assertLessEqual({"CAP_SETUID", "CAP_SETGID", "CAP_CHOWN"}, capabilities)
        self.assertEqual(capabilities & {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_MODULE"}, set())
        self.assertEqual(unit["NoNewPrivileges"], ["yes"])
        self.assertEqual(unit["ProtectSystem"], ["strict"])

    def test_both_start_again_and_check_first(self):
        for name in ("interlink-cri", "interlink-api"):
            unit = read(name + ".service")
            self.assertEqual(unit["Restart"], ["always"])
            self.assertEqual(unit["ExecStartPre"], [f"/usr/bin/{name} check"])
            self.assertEqual(unit["ExecStart"], [f"/usr/bin/{name} serve"])


if __name__ == "__main__":
    unittest.main()
