/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included before everything else in what is preloaded: each function and
 * object of QEMU that qemu/ uses, as a weak reference, so that programs
 * without them can load the object too.  A test compares this list with what
 * the object leaves undefined.
 */
#pragma weak device_class_set_props
#pragma weak error_free
#pragma weak error_propagate
#pragma weak error_report
#pragma weak error_setg_errno_internal
#pragma weak error_setg_internal
#pragma weak event_notifier_init_fd
#pragma weak info_report
#pragma weak memory_region_add_eventfd
#pragma weak memory_region_del_eventfd
#pragma weak memory_region_init_io
#pragma weak memory_region_init_ram_from_fd
#pragma weak msix_init_exclusive_bar
#pragma weak msix_present
#pragma weak msix_uninit_exclusive_bar
#pragma weak object_class_dynamic_cast_assert
#pragma weak object_class_property_set_description
#pragma weak object_dynamic_cast_assert
#pragma weak pci_register_bar
#pragma weak qapi_free_VersionInfo
#pragma weak qdev_prop_on_off_auto
#pragma weak qdev_prop_size
#pragma weak qdev_prop_string
#pragma weak qdev_prop_uint16
#pragma weak qdev_prop_uint32
#pragma weak qemu_get_vm_name
#pragma weak qemu_log
#pragma weak qemu_loglevel
#pragma weak qmp_query_version
#pragma weak register_module_init
#pragma weak type_register_static
#pragma weak warn_report
