"""What people do with proxmoxer, through a password and through a token."""

import hashlib
import io
import os
import time

import urllib3
from proxmoxer import ProxmoxAPI, ResourceException
from proxmoxer.tools import Tasks

urllib3.disable_warnings()
HOST, PORT, VERSION = os.environ["PVE_HOST"], int(os.environ["PVE_PORT"]), os.environ["PVE_VERSION"]


def refused(status, call, **arguments):
    """The call must fail with this status; returns the error."""
    try:
        call(**arguments)
    except ResourceException as error:
        assert error.status_code == status, f"expected {status}, got {error}"
        return error
    raise AssertionError(f"expected a refusal with {status}")


def done(pve, upid):
    """Waits for a task, and that it ended well."""
    assert isinstance(upid, str) and upid.startswith("UPID:"), upid
    status = Tasks.blocking_status(pve, upid, timeout=120, polling_interval=0.1)
    assert status is not None, f"{upid} does not end"
    assert status["exitstatus"] == "OK", status
    return status


def failed(pve, upid, text):
    status = Tasks.blocking_status(pve, upid, timeout=120, polling_interval=0.1)
    assert text in status["exitstatus"], status


def servers(pve):
    node = pve.nodes("pve1")
    vmid = int(pve.cluster.nextid.get())
    refused(400, pve.cluster.nextid.get, vmid=9000)
    done(pve, node.qemu.create(
        vmid=vmid, name="made", cores=2, memory=512, scsihw="virtio-scsi-single",
        scsi0="local-lvm:4,discard=on", ide2="local:iso/debian-12.iso,media=cdrom",
        net0="virtio,bridge=vmbr0,firewall=1", boot="order=scsi0;ide2;net0", agent=1, tags="a;b"))
    vm = node.qemu(vmid)
    config = vm.config.get()
    assert config["scsi0"] == f"local-lvm:vm-{vmid}-disk-0,discard=on,size=4G", config
    assert config["net0"].startswith("virtio="), config
    assert len(config["digest"]) == 40 and "uuid=" in config["smbios1"], config
    assert refused(500, node.qemu.create, vmid=vmid).content.strip().endswith("already exists on node 'pve1'")

    # Disks: attach, grow, move, detach, remove.
    vm.config.set(scsi1="local:1,format=qcow2")
    assert vm.config.get()["scsi1"].startswith(f"local:{vmid}/vm-{vmid}-disk-0.qcow2"), vm.config.get()
    done(pve, vm.resize.set(disk="scsi1", size="+1G"))
    assert vm.config.get()["scsi1"].endswith("size=2G")
    failed(pve, vm.resize.set(disk="scsi1", size="1G"), "shrinking disks is not supported")
    done(pve, vm.move_disk.create(disk="scsi1", storage="local-lvm", delete=1))
    assert vm.config.get()["scsi1"].startswith("local-lvm:"), vm.config.get()
    vm.config.set(delete="scsi1")
    assert "unused0" in vm.config.get()
    vm.config.set(delete="unused0")
    assert "unused0" not in vm.config.get()
    refused(400, vm.config.set, cores="many")
    assert "ide9" in refused(400, vm.config.set, ide9="none").errors

    # Power.
    done(pve, vm.status.start.post())
    failed(pve, vm.status.start.post(), "already running")
    assert vm.status.current.get()["status"] == "running"
    done(pve, vm.status.suspend.post())
    assert vm.status.current.get()["qmpstatus"] == "paused"
    done(pve, vm.status.resume.post())
    assert "is running" in str(refused(500, vm.delete))
    done(pve, vm.status.stop.post())

    # Snapshots.
    done(pve, vm.snapshot.create(snapname="before", description="a state"))
    vm.config.set(cores=4)
    done(pve, vm.snapshot.create(snapname="after"))
    tree = {row["name"]: row.get("parent") for row in vm.snapshot.get()}
    assert tree == {"before": None, "after": "before", "current": "after"}, tree
    done(pve, vm.snapshot("before").rollback.post())
    assert vm.config.get()["cores"] == 2
    done(pve, vm.snapshot("after").delete())
    done(pve, vm.snapshot("before").delete())

    # Clones and templates.
    done(pve, vm.clone.post(newid=vmid + 1, full=1, name="copy"))
    done(pve, vm.template.post())
    assert vm.config.get()["template"] == 1
    done(pve, vm.clone.post(newid=vmid + 2, name="linked"))
    assert "vm-" in node.qemu(vmid + 2).config.get()["scsi0"]
    for made in (vmid + 2, vmid + 1, vmid):
        done(pve, node.qemu(made).delete(purge=1))
    names = [row["vmid"] for row in node.qemu.get()]
    assert names == [9000], names

    # The whole cluster, and another host.
    done(pve, node.qemu(9000).clone.post(newid=500, name="away", target="pve2"))
    away = pve.nodes("pve2").qemu(500)
    assert away.config.get()["name"] == "away"
    done(pve, away.migrate.post(target="pve1"))
    assert "does not exist" in str(refused(500, away.config.get))
    done(pve, node.qemu(500).delete())


def containers(pve):
    node = pve.nodes("pve1")
    template = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
    done(pve, node.lxc.create(
        vmid=600, ostemplate=template, hostname="box", memory=256, rootfs="local-lvm:2", password="secret123",
        mp0="local-lvm:1,mp=/data", net0="name=eth0,bridge=vmbr0,ip=dhcp", unprivileged=1))
    box = node.lxc(600)
    config = box.config.get()
    assert config["rootfs"] == "local-lvm:vm-600-disk-0,size=2G", config
    assert config["mp0"].startswith("local-lvm:vm-600-disk-1,mp=/data"), config
    assert "hwaddr=" in config["net0"] and "password" not in config, config
    done(pve, box.status.start.post())
    assert box.status.current.get()["status"] == "running"
    done(pve, box.resize.set(disk="rootfs", size="+1G"))
    done(pve, box.status.shutdown.post())
    done(pve, box.snapshot.create(snapname="clean"))
    box.config.set(memory=512, description="with more memory")
    done(pve, box.snapshot("clean").rollback.post())
    assert int(box.config.get()["memory"]) == 256
    done(pve, box.snapshot("clean").delete())
    done(pve, box.clone.post(newid=601, full=1, hostname="twin"))
    done(pve, node.lxc(601).delete())
    refused(500, node.lxc.create, vmid=600, ostemplate=template)
    done(pve, box.delete())


def backups(pve):
    node = pve.nodes("pve1")
    done(pve, node.qemu(9000).clone.post(newid=700, name="kept", full=1, storage="local-lvm"))
    done(pve, node.vzdump.post(vmid="700", storage="local", mode="stop", compress="zstd", **{"notes-template": "{{guestname}}"}))
    found = node.storage("local").content.get(content="backup", vmid=700)
    assert len(found) == 1 and found[0]["notes"] == "kept" and found[0]["volid"].endswith(".vma.zst"), found
    volume = found[0]["volid"]
    mac = node.qemu(700).config.get()["net0"]
    node.qemu(700).config.set(name="changed", memory=64)
    done(pve, node.qemu.create(vmid=700, archive=volume, force=1))
    assert node.qemu(700).config.get()["name"] == "kept"
    assert node.qemu(700).config.get()["net0"] == mac
    done(pve, node.qemu.create(vmid=701, archive=volume, unique=1))
    assert node.qemu(701).config.get()["net0"] != mac
    pruned = node.storage("local").prunebackups.get(**{"prune-backups": "keep-last=1", "vmid": 700})
    assert [row["mark"] for row in pruned] == ["keep"], pruned
    node.storage("local").content(volume).delete()
    for vmid in (700, 701):
        done(pve, node.qemu(vmid).delete())


def files(pve):
    local = pve.nodes("pve1").storage("local")
    content = b"x" * 400_000
    file = io.BytesIO(content)
    file.name = "tools.iso"
    done(pve, local.upload.post(
        content="iso", filename=file, checksum=hashlib.sha256(content).hexdigest(), **{"checksum-algorithm": "sha256"}))
    listed = {row["volid"]: row["size"] for row in local.content.get(content="iso")}
    assert listed["local:iso/tools.iso"] == len(content), listed
    local.content("local:iso/tools.iso").delete()
    volume = local.content.create(vmid=9000, filename="vm-9000-disk-7.qcow2", size="1G", format="qcow2")
    assert volume == "local:9000/vm-9000-disk-7.qcow2", volume
    local.content(volume).delete()


def identity(pve):
    pve.access.users.create(userid="ada@pve", password="at least 8", comment="Ada", groups="")
    pve.access.groups.create(groupid="staff", comment="people")
    pve.access.users("ada@pve").put(groups="staff", email="ada@example.org")
    assert pve.access.groups("staff").get()["members"] == ["ada@pve"]
    pve.access.roles.create(roleid="Starter", privs="VM.PowerMgmt,VM.Audit")
    pve.access.acl.put(path="/vms/9000", roles="Starter", users="ada@pve")
    rows = [row for row in pve.access.acl.get() if row["ugid"] == "ada@pve"]
    assert [(row["path"], row["roleid"]) for row in rows] == [("/vms/9000", "Starter")], rows
    token = pve.access.users("ada@pve").token("ci").post(privsep=0)
    ada = ProxmoxAPI(HOST, port=PORT, user="ada@pve", token_name="ci", token_value=token["value"], verify_ssl=False)
    assert [row["vmid"] for row in ada.nodes("pve1").qemu.get()] == [9000]
    assert "VM.Clone" in str(refused(403, ada.nodes("pve1").qemu(9000).clone.post, newid=999))
    own = ProxmoxAPI(HOST, port=PORT, user="ada@pve", password="at least 8", verify_ssl=False)
    assert own.version.get()["release"] == VERSION
    pve.access.users("ada@pve").token("ci").delete()
    pve.access.users("ada@pve").delete()
    pve.access.groups("staff").delete()
    pve.access.roles("Starter").delete()
    old, new = "VM.Monitor", "VM.GuestAgent.Audit"
    refused(400, pve.access.roles.create, roleid="Other", privs=new if VERSION.startswith("8") else old)


def pools(pve):
    pve.pools.create(poolid="course", comment="one")
    pve.pools("course").put(vms="9000", comment="two")
    pool = pve.pools("course").get()
    assert pool["comment"] == "two" and pool["members"][0]["vmid"] == 9000, pool
    assert "not empty" in str(refused(500, pve.pools("course").delete))
    pve.pools("course").put(vms="9000", delete=1)
    pve.pools("course").delete()


def cluster(pve):
    kinds = {row["type"] for row in pve.cluster.resources.get()}
    assert {"node", "qemu", "storage"} <= kinds, kinds
    assert {row["name"] for row in pve.cluster.status.get() if row["type"] == "node"} == {"pve1", "pve2"}
    assert [row["group"] for row in pve.cluster.firewall.groups.get()] == ["web"]
    rules = pve.nodes("pve1").qemu(9000).firewall.rules
    rules.create(type="in", action="ACCEPT", proto="tcp", dport="22", enable=1, comment="ssh")
    assert rules.get()[0]["dport"] == "22"
    rules(0).delete()
    assert pve.nodes("pve1").status.get()["cpuinfo"]["cpus"] > 0
    assert isinstance(pve.nodes("pve1").rrddata.get(timeframe="hour"), list)
    tasks = pve.nodes("pve1").tasks.get(limit=3)
    assert len(tasks) == 3 and all(row["upid"].startswith("UPID:") for row in tasks), tasks
    assert Tasks.decode_upid(tasks[0]["upid"])["node"] == "pve1"
    log = pve.nodes("pve1").tasks(tasks[0]["upid"]).log.get()
    assert log[-1]["t"].startswith("TASK "), log


def main():
    by_password = ProxmoxAPI(HOST, port=PORT, user="root@pam", password="correct horse", verify_ssl=False)
    by_token = ProxmoxAPI(
        HOST, port=PORT, user="root@pam", token_name="clients",
        token_value="11111111-2222-3333-4444-555555555555", verify_ssl=False)
    for scenario, pve in [
        (servers, by_password), (containers, by_token), (backups, by_password), (files, by_password),
        (files, by_token), (identity, by_password), (pools, by_token), (cluster, by_password)]:
        began = time.monotonic()
        scenario(pve)
        print(f"{scenario.__name__}: ok ({time.monotonic() - began:.1f} s)")


main()
