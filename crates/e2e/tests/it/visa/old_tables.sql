-- What the old provider (schema provider) and its metadata server (schema ci)
-- have written in the course of time, with the rows that lives leave behind.
CREATE SCHEMA provider;
CREATE SCHEMA ci;

CREATE TABLE provider.flavour (
    id character varying NOT NULL PRIMARY KEY,
    name character varying NOT NULL,
    cpus integer NOT NULL,
    disk integer NOT NULL,
    ram integer NOT NULL
);
CREATE TABLE provider.vm (
    id character varying NOT NULL PRIMARY KEY,
    name character varying NOT NULL,
    flavour_id character varying NOT NULL REFERENCES provider.flavour (id),
    created_at date NOT NULL DEFAULT now(),
    image_id character varying NOT NULL,
    metadata character varying NOT NULL,
    boot_command character varying NOT NULL,
    status character varying NOT NULL DEFAULT 'BUILDING',
    "startCount" integer NOT NULL DEFAULT 0
);
CREATE TABLE ci.vm (
    id character varying NOT NULL PRIMARY KEY,
    "userData" character varying NOT NULL,
    "metaData" character varying NOT NULL
);

INSERT INTO provider.flavour VALUES
    ('1', 'small', 2, 20, 4),
    ('2', 'small', 4, 20, 8),
    ('m1.large', 'large', 8, 0, 16),
    ('a-flavour-with-a-very-long-id', 'long', 1, 10, 1),
    ('9', 'nothing', 0, 0, 0);

INSERT INTO provider.vm VALUES
    -- Runs, as its row says.
    ('100', 'VISA-INSTANCE-1', '1', '2021-03-04', '9000', E'meta:\n  id: ''1''\n  owner: doe\n', E'echo "hi" > /tmp/x', 'ACTIVE', 0),
    -- Its row says that it runs, and it is stopped.
    ('101', 'VISA-INSTANCE-2', '2', '2022-01-31', '9001', E'meta:\n  id: ''2''\n', 'true', 'ACTIVE', 0),
    -- Was deleted in Proxmox.
    ('102', 'VISA-INSTANCE-3', '1', '2022-02-01', '9000', E'meta:\n  id: ''3''\n', 'true', 'STOPPED', 0),
    -- Its id belongs to another guest since.
    ('103', 'VISA-INSTANCE-4', '1', '2022-02-02', '9000', E'meta:\n  id: ''4''\n', 'true', 'BUILDING', 0),
    -- The row of a template that somebody has made of an instance.
    ('9000', 'VISA-INSTANCE-5', '1', '2022-02-03', '9000', E'meta:\n  id: ''5''\n', 'true', 'STOPPING', 0),
    -- Never had documents, and a flavour that cannot be kept.
    ('104', 'VISA-INSTANCE-6', 'a-flavour-with-a-very-long-id', '2024-02-29', '9000', E'meta: {}\n', '', 'REBOOTING', 3),
    -- No vmid at all.
    ('qemu/105', 'VISA-INSTANCE-7', '1', '2022-02-03', '9000', E'meta: {}\n', '', 'ACTIVE', 0);

INSERT INTO ci.vm VALUES
    ('100', E'#cloud-config\nruncmd:\n  - echo "hi" > /tmp/x\nfqdn: VISA-INSTANCE-1\n', E'meta:\n  id: ''1''\n  owner: doe\nproject_id: bench\n'),
    ('101', E'#cloud-config\nruncmd:\n  - ''true''\nfqdn: VISA-INSTANCE-2\n', E'meta:\n  id: ''2''\n'),
    ('103', E'#cloud-config\nfqdn: VISA-INSTANCE-4\n', E'meta:\n  id: ''4''\n'),
    ('777', E'#cloud-config\nfqdn: forgotten\n', E'meta: {}\n');
