# SPDX-License-Identifier: GPL-2.0-only
#
# make            build the module for the running kernel
# make modules    the same; KVER=<release> selects another kernel
# make demo       redirect packets, and the data of a TCP proxy, with the
#                 module, in a virtual machine (KERNEL)
# make shell      open a root shell in a virtual machine, with the module loaded
#                 (KERNEL)
# make gdb        debug kernel and module in the machine of make shell (VMLINUX)
# make clangd     write build/compile_commands.json, for editors with clangd
# make check      run the test suite in virtual machines (KERNELS,
#                 TESTS="dev_map_ops dev_redirect", TEST=dev_map_ops,
#                 KINDS=claimed, LONG=1, JOBS=1)
# make lint       check the source (KERNELS)
# make bench      measure claimed and stock maps (KERNELS, ROWS="hash*", REAL=1,
#                 CPUS=64)
# make fuzz       compare random operations on claimed and stock maps (KERNELS,
#                 SEED, OPS, REPLAY=file)
# make soak       send traffic while maps, devices, sockets and programs change
#                 at random, race changes of socket maps, and play sequences of
#                 system calls (KERNELS, MINUTES, SEED, TESTS)
# make install    install the module for KVER, and the command redirmap, the
#                 manual pages and the bash completion below PREFIX (/usr/local)
# make install-tools
#                 install everything except the module
# make uninstall, uninstall-tools
#                 remove the same files
# make docs       build the documentation as HTML, build/docs (LINKS=1)
# make deb        build the Debian packages redirmap-dkms and redirmap-tools
# make dkms-install, dkms-uninstall
#                 install the module with DKMS, for all kernels
# make dist       make a tarball of the last commit,
#                 build/dist/redirmap-*.tar.gz
# make clean      remove build/
#
# DESTDIR is put in front of all paths of install (for packages and images),
# INSTALL_MOD_PATH in front of the module's path only.
#
# KERNEL is a name in scripts/lab/kernels. KERNELS is a list of names, or "all";
# without it, the default kernels in that file are used.
#
# Each target installs the Debian packages that it needs, once.

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build

BUILD = build/$(KVER)

all: modules

# Kbuild writes objects next to the sources. Links to the sources give each
# kernel its own folder of objects.
modules:
	@scripts/lab/build-module $(KVER) $(BUILD)

check:
	@$(if $(TEST),TESTS="$(TEST)") scripts/lab/check $(KERNELS)

demo:
	@scripts/lab/demo $(KERNEL)

bench:
	@scripts/lab/bench $(if $(REAL),--real "$(REAL)") $(if $(ROWS),--rows "$(ROWS)") \
		$(if $(CPUS),--cpus $(CPUS)) $(KERNELS)

fuzz:
	@scripts/lab/fuzz $(if $(SEED),--seed $(SEED)) $(if $(OPS),--ops $(OPS)) \
		$(if $(REPLAY),--replay "$(REPLAY)") $(KERNELS)

soak:
	@scripts/lab/soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
		$(KERNELS)

lint:
	@scripts/lab/lint $(KERNELS)

shell:
	@scripts/lab/shell $(KERNEL)

gdb:
	@scripts/lab/gdb

clangd: modules
	@scripts/lab/compile-commands $(KVER) $(BUILD)

PREFIX ?= /usr/local
INSTALL = scripts/command/install --destdir "$(DESTDIR)" --prefix "$(PREFIX)"
MODPATH = $(or $(INSTALL_MOD_PATH),$(DESTDIR))
MODULE = --module "$(BUILD)/redirmap.ko" --modpath "$(MODPATH)" --kernel "$(KVER)"

install: modules
	@$(INSTALL) $(MODULE) install

uninstall:
	@$(INSTALL) $(MODULE) uninstall

install-tools:
	@$(INSTALL) install

uninstall-tools:
	@$(INSTALL) uninstall

docs:
	@scripts/lab/docs $(if $(LINKS),--links)

deb:
	@scripts/lab/deb

dkms-install:
	@scripts/lab/dkms install

dkms-uninstall:
	@scripts/lab/dkms uninstall

dist:
	@scripts/lab/dist

clean:
	rm -rf build

.PHONY: all modules check demo bench fuzz soak lint shell gdb install clean
.PHONY: clangd uninstall install-tools uninstall-tools dist docs deb dkms-install dkms-uninstall
